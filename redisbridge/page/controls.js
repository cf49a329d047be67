// Controls: what is set for each cache of a policy, and for administrators the form to change it.
import { call } from "./bridge.js";
import { plural } from "./words.js";

export const allCaches = "(all caches)";

// of gives what is set for a cache.
const of = (controls, name) => ({ ...(name === allCaches ? controls.all : controls.caches.find((c) => c.name === name)), name });

// listed gives what is set for each cache of the policy, for all of them first.
export function listed({ caches, controls }) {
  const names = new Set([...caches, ...controls.caches].map((c) => c.name).filter((name) => name !== "*"));
  return [allCaches, ...[...names].sort()].map((name) => of(controls, name));
}

// cells are the texts of one of them.
export function cells(c) {
  const mark = (on) => (on ? "yes" : "–");
  const share = (percent) => (percent ? percent + "%" : "–");
  const note = c.rollout ? "not used: the proxies' policies have different rules for it, or had lately" : "";
  return [c.name, mark(c.off), c.ttl ?? "–", share(c.percent), mark(c.observe), share(c.verify), note];
}

// change is the request that makes what is set for a cache what the form says; null if it is that already.
export function change(policy, before, form) {
  const set = {}, unset = [];
  for (const [name, value] of Object.entries(form)) {
    if (!value && before[name]) unset.push(name);
    else if (value && before[name] !== value) set[name] = value; // what nobody has changed here somebody may have elsewhere
  }
  if (unset.length === 0 && Object.keys(set).length === 0) return null;
  const whose = before.name === allCaches ? { all: true } : { cache: before.name };
  return { policy, ...whose, set, unset, wait: "2s" };
}

// told says what has become of a change.
export function told(name, answer) {
  const { applied, leaseOut, pending, complete, newEpoch, error } = answer.receipts;
  if (error) return `${name}: set, but whether the workers know can't be told: ${error}`;
  if (newEpoch) return `${name}: set; Redis has begun a new epoch since, in which each worker hears of it`;
  if (!complete && pending.length === 0) return `${name}: set; Redis has begun its epoch so lately that there may be workers that it doesn't know of`;
  if (!complete) return `${name}: set; ${plural(pending.length, "worker")} may not know yet`;
  if (applied.length + leaseOut.length === 0) return `${name}: set; no worker of a proxy follows the feed, so none has heard of it`;
  const last = applied.length > 0 ? `, the last after ${applied.at(-1).ms} ms` : "";
  return `${name}: set; ${plural(applied.length, "worker")} of proxies know${last}` + (leaseOut.length > 0 ? `; ${leaseOut.length} may not use their memory any more` : "");
}

// The form is a dialog, which there is once.
const dialog = document.getElementById("change");
const form = dialog.querySelector("form");
let subject = null; // {policy, before, say}

// edit opens the form for what is set for a cache at this moment, whoever has set it; say is
// called with what becomes of it.
export async function edit(policy, name, say) {
  const { controls } = await call("GET", "v1/controls?policy=" + encodeURIComponent(policy));
  const before = of(controls, name);
  subject = { policy, before, say };
  document.getElementById("subject").textContent = `${before.name} of ${policy}`;
  for (const name of ["off", "observe"]) form.elements[name].checked = Boolean(before[name]);
  for (const name of ["ttl", "percent", "verify"]) form.elements[name].value = before[name] ?? "";
  document.getElementById("problem").textContent = "";
  dialog.showModal();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const e = form.elements, { policy, before, say } = subject;
  const request = change(policy, before, {
    off: e.off.checked, ttl: e.ttl.value.trim(), percent: Number(e.percent.value), observe: e.observe.checked, verify: Number(e.verify.value),
  });
  if (request === null) return dialog.close();
  e.save.disabled = true;
  try {
    say(told(before.name, await call("POST", "v1/controls", request)));
    dialog.close();
  } catch (error) {
    document.getElementById("problem").textContent = error.message;
  } finally {
    e.save.disabled = false;
  }
});
form.elements.cancel.addEventListener("click", () => dialog.close());
