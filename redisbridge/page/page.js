// The page: asks the bridge for its status as long as somebody looks, and shows it.
import { showRedis, showPolicies } from "./view.js";

const periodMs = 2000; // between two answers
const remembered = 90; // samples: three minutes
const storageKey = "chatcache-token";

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
  sessionStorage.removeItem(storageKey);
  samples = [];
  element("policies").replaceChildren();
  for (const id of ["redis", "leave"]) element(id).hidden = true;
  element("enter").hidden = false;
  element("refusal").textContent = refusal;
  element("token").focus();
  say("no token");
}

function show(status) {
  samples = [...samples, { at: performance.now(), status }].slice(-remembered);
  element("enter").hidden = true;
  element("leave").hidden = sessionStorage.getItem(storageKey) === null;
  showRedis(element("redis"), status.redis);
  showPolicies(element("policies"), element("policy"), samples);
  const access = status.access === "administer" ? "administrator" : "viewer: read only";
  say(status.redis.ok ? `live, ${access}` : `Redis doesn't answer, ${access}`, !status.redis.ok);
}

// ask gets one status. A token that is entered while it is under way makes it void.
async function ask() {
  const token = sessionStorage.getItem(storageKey);
  const headers = token === null ? {} : { authorization: "Bearer " + token };
  const response = await fetch("v1/status", { headers, cache: "no-store", redirect: "error" });
  if (sessionStorage.getItem(storageKey) !== token) return;
  if (response.status === 401) return askForToken(token === null ? "" : "The bridge doesn't know this token.");
  if (!response.ok) return say(`the bridge says ${response.status}: ${(await response.text()).slice(0, 200)}`, true);
  show(await response.json());
}

async function tick() {
  clearTimeout(timer);
  try {
    if (document.visibilityState === "visible") await ask();
  } catch (error) {
    say(`the bridge can't be reached; figures are old (${error.message})`, true);
  }
  clearTimeout(timer); // of another tick that began meanwhile
  if (element("enter").hidden) timer = setTimeout(tick, periodMs);
}

element("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  // A header field can't have anything else.
  const token = element("token").value.trim();
  element("token").value = "";
  if (!/^[\x21-\x7e]+$/.test(token)) return askForToken("A token has printable ASCII characters only.");
  sessionStorage.setItem(storageKey, token);
  element("enter").hidden = true;
  tick();
});
element("leave").addEventListener("click", () => askForToken(""));
document.addEventListener("visibilitychange", tick);
tick();
