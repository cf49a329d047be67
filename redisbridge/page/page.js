// The page: asks the bridge for its status as long as somebody looks, and shows it.
import { Silent, call, token } from "./bridge.js";
import { showPolicies, showRedis } from "./view.js";

const periodMs = 2000; // between two answers
const remembered = 90; // samples: three minutes

const element = (id) => document.getElementById(id);
let samples = [];
let timer = 0;

function say(text, bad = false) {
  const state = element("state");
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("bad", bad);
}

// askForToken shows the form, and nothing that a token had shown.
function askForToken(refusal) {
  token.forget();
  samples = [];
  element("policies").replaceChildren();
  for (const id of ["redis", "leave"]) element(id).hidden = true;
  element("enter").hidden = false;
  element("refusal").textContent = refusal;
  element("token").focus();
  say("no token");
}

function show(status) {
  // Without Redis a status has no figures: those of before stay, and aren't taken for having begun anew.
  if (status.redis.ok) samples = [...samples, { at: performance.now(), status }].slice(-remembered);
  element("enter").hidden = true;
  element("leave").hidden = token.get() === null;
  showRedis(element("redis"), status.redis);
  if (samples.length > 0) showPolicies(element("policies"), element("policy"), samples);
  const access = status.access === "administer" ? "administrator" : "viewer: read only";
  say(status.redis.ok ? `live, ${access}` : `Redis doesn't answer; figures are old (${access})`, !status.redis.ok);
}

// ask gets one status. A token that is entered while it is under way makes it void.
async function ask() {
  const shown = token.get();
  try {
    const status = await call("GET", "v1/status");
    if (token.get() === shown) show(status);
  } catch (error) {
    if (token.get() !== shown) return;
    if (error.status === 401) askForToken(shown === null ? "" : "The bridge doesn't know this token.");
    else if (error.status) say(error.message, true);
    else if (error instanceof Silent) say(`${error.message}; figures are old`, true);
    else say(`the bridge can't be reached; figures are old (${error.message})`, true);
  }
}

async function tick() {
  clearTimeout(timer);
  if (document.visibilityState === "visible") await ask();
  clearTimeout(timer); // of another tick that began meanwhile
  if (element("enter").hidden) timer = setTimeout(tick, periodMs);
}

element("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  // A header field can't have anything else.
  const typed = element("token").value.trim();
  element("token").value = "";
  if (!/^[\x21-\x7e]+$/.test(typed)) return askForToken("A token has printable ASCII characters only.");
  token.set(typed);
  element("enter").hidden = true;
  tick();
});
element("leave").addEventListener("click", () => askForToken(""));
document.addEventListener("visibilitychange", tick);
tick();
