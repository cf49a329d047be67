// Puts figures into the page. Everything that came from outside is set as text.
import { cells, edit, listed } from "./controls.js";
import { course, ofPolicy } from "./figures.js";
import { bytes, count, duration, mean, percent, plural, rate } from "./words.js";

// put writes the texts of the fields that root has, where they changed.
function put(root, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const field = root.querySelector(`[data-field="${name}"]`);
    if (field.textContent !== text) field.textContent = text;
  }
}

export function showRedis(root, redis) {
  root.hidden = false;
  put(root, {
    server: redis.ok ? `${redis.mode} ${redis.version}${redis.replicas > 0 ? `, ${plural(redis.replicas, "replica")}` : ""}` : "doesn't answer",
    problem: redis.error ?? redis.problem ?? "",
    keys: redis.ok ? count(redis.keys) : "–",
    memory: redis.memoryBytes ? `whoever wrote them; ${bytes(redis.memoryBytes)} used` : "whoever wrote them",
    ping: redis.ok ? duration(redis.pingMs) : "–",
    breaker: `circuit breaker ${redis.breaker.state}` + (redis.breaker.openings > 0 ? `, opened ${plural(redis.breaker.openings, "time")}` : ""),
  });
  root.querySelector("[data-field=problem]").classList.toggle("bad", Boolean(redis.error));
}

// showPolicies keeps a section for each policy of the last sample, in their order.
export function showPolicies(root, template, samples) {
  const policies = samples.at(-1).status.policies;
  while (root.children.length > policies.length) root.lastElementChild.remove();
  while (root.children.length < policies.length) {
    root.append(template.content.cloneNode(true));
    root.lastElementChild.addEventListener("click", clicked);
  }
  policies.forEach((policy, i) => showPolicy(root.children[i], policy, samples));
}

function showPolicy(section, policy, samples) {
  const f = ofPolicy(samples, policy.name);
  put(section, {
    name: policy.name,
    ratio: percent(f.ratio), ratioOfAll: `${percent(f.ratioOfAll)} since Redis was empty`,
    saved: duration(f.savedMs), savedNow: f.savedPerSecondMs == null ? "" : `${duration(f.savedPerSecondMs)} each second`,
    stores: count(f.stores), storesNow: f.storesPerSecond == null ? "" : `${rate(f.storesPerSecond)} per second`,
    invalidations: rate(f.raisesPerSecond), invalidationsOfAll: `${count(f.raises)} in this epoch; ${plural(policy.suspensions, "write")} in flight`,
    lag: f.lag == null ? "–" : plural(f.lag, "event"), behind: `${count(policy.behind)} of ${plural(policy.vms, "worker")} behind`,
    followers: `Workers of proxies that follow the feed` +
      (policy.vms > policy.followers.length ? `: the ${policy.followers.length} of ${count(policy.vms)} that are furthest behind` : ""),
  });
  section.querySelector("polyline").setAttribute("points", points(course(samples, policy.name)));
  rows(section, "caches", f.caches.map((c) => [c.name, ...cacheCells(c)]));
  rows(section, "followers", policy.followers.map((v) => [v.vm, v.policyVersion ?? "–", count(v.lag), duration(Math.max(0, v.leaseMs))]));
  showControls(section, policy, samples.at(-1).status.access === "administer");
}

// shown are the policies that the sections show, for clicks.
const shown = new WeakMap();

// showControls gives each row a button for administrators.
function showControls(section, policy, mayChange) {
  shown.set(section, policy);
  section.classList.toggle("readonly", !mayChange);
  const list = listed(policy);
  for (const [i, row] of [...rows(section, "controls", list.map(cells))].entries()) {
    const button = row.querySelector("button") ?? newButton(row);
    button.setAttribute("aria-label", `Change controls of ${list[i].name}`);
  }
}

function newButton(row) {
  const cell = row.insertCell(), button = document.createElement("button");
  cell.className = "change";
  button.type = "button";
  button.textContent = "Change";
  cell.append(button);
  return button;
}

async function clicked(event) {
  const row = event.target.closest("button") && event.target.closest("[data-rows=controls] tr");
  if (!row) return;
  const section = event.currentTarget, policy = shown.get(section);
  const say = (text) => put(section, { changed: text });
  await edit(policy.name, listed(policy)[row.sectionRowIndex].name, say).catch((error) => say(error.message));
}

function cacheCells({ proxies: p, recent }) {
  const all = p.hitsL1 + p.hitsL2 + p.collapsed + p.misses + p.bypasses + p.wouldHits;
  return [
    percent(all > 0 ? p.hitRatio : null), percent(recent), count(p.hitsL1), count(p.hitsL2), count(p.collapsed), count(p.misses), count(p.bypasses),
    count(p.wouldHits), `${count(p.mismatches)} of ${count(p.matches + p.mismatches)}`, count(p.errors), count(p.stores),
    mean(p.answeredMicros), mean(p.forwardedMicros), duration(p.savedMs),
  ];
}

// rows makes the table's body have these cells, and gives its rows; the first of each is its header.
function rows(section, name, list) {
  const body = section.querySelector(`[data-rows="${name}"]`);
  while (body.rows.length > list.length) body.deleteRow(-1);
  list.forEach((cells, i) => {
    const row = body.rows[i] ?? body.insertRow();
    cells.forEach((text, j) => {
      const cell = row.cells[j] ?? row.appendChild(document.createElement(j === 0 ? "th" : "td"));
      if (j === 0) cell.scope = "row";
      if (cell.textContent !== text) cell.textContent = text;
    });
  });
  return body.rows;
}

// points draws ratios from left to right, the newest at the right edge; where nobody asked
// the line goes on as it was.
function points(ratios) {
  const width = 120, height = 30, step = width / Math.max(ratios.length - 1, 30);
  let last = null;
  return ratios.map((r, i) => {
    last = r ?? last;
    return last == null ? "" : `${(width - (ratios.length - 1 - i) * step).toFixed(1)},${(height - 1 - last * (height - 2)).toFixed(1)}`;
  }).join(" ").trim();
}
