// What is shown, from what the bridge has said: pure functions. A sample is an answer of
// /v1/status with the milliseconds at which it came, {at, status}.

// windowMs is what "last minute" and "per second" look back at.
export const windowMs = 60_000;

const answered = (c) => c.hitsL1 + c.hitsL2 + c.collapsed;
const requests = (c) => answered(c) + c.misses + c.bypasses + c.wouldHits;
const counted = ["hitsL1", "hitsL2", "collapsed", "misses", "bypasses", "wouldHits", "stores", "savedMs"];

// total adds up what the proxies have counted.
function total(caches) {
  const sum = Object.fromEntries(counted.map((name) => [name, 0]));
  for (const cache of caches) for (const name of counted) sum[name] += cache.proxies[name];
  return sum;
}

// growth is how much each counter has grown; from 0, where it has begun anew meanwhile. What
// was saved is an estimate, which a slower answer of the cache can make smaller.
function growth(now, before) {
  const anew = counted.some((name) => name !== "savedMs" && now[name] < before[name]);
  return Object.fromEntries(counted.map((name) => [name, Math.max(0, anew ? now[name] : now[name] - before[name])]));
}

// ratio is the share of the requests that the cache has answered; null without any.
export function ratio(counts) {
  const all = requests(counts);
  return all > 0 ? answered(counts) / all : null;
}

const policyOf = (sample, name) => sample.status.policies.find((p) => p.name === name);
const cacheOf = (policy, name) => policy?.caches.filter((c) => c.name === name) ?? [];

// since gives the oldest sample that is at most so many ms older than the last one, and knows the policy.
function since(samples, name, ms) {
  const end = samples.at(-1).at;
  return samples.find((s) => end - s.at <= ms && policyOf(s, name)) ?? samples.at(-1);
}

// ofPolicy gives the figures of the policy in the last sample.
export function ofPolicy(samples, name) {
  const last = samples.at(-1), first = since(samples, name, windowMs);
  const now = policyOf(last, name), before = policyOf(first, name);
  const seconds = (last.at - first.at) / 1000;
  const grown = growth(total(now.caches), total(before.caches));
  const raises = now.epoch === before.epoch ? now.raises - before.raises : now.raises;
  const perSecond = (n) => (seconds > 0 ? n / seconds : null);
  return {
    ratio: ratio(grown), ratioOfAll: ratio(total(now.caches)),
    savedMs: total(now.caches).savedMs, savedPerSecondMs: perSecond(grown.savedMs),
    stores: total(now.caches).stores, storesPerSecond: perSecond(grown.stores),
    raises: now.raises, raisesPerSecond: perSecond(Math.max(0, raises)),
    lag: now.followers.length > 0 ? now.followers[0].lag : null,
    caches: now.caches.map((c) => ({
      ...c, recent: ratio(growth(total([c]), total(cacheOf(before, c.name)))),
    })),
  };
}

// course gives the hit ratio of the moments before each sample, for a graph: null where nobody asked.
export function course(samples, name, spanMs = 10_000) {
  return samples.map((_, i) => {
    const upTo = samples.slice(0, i + 1);
    if (!policyOf(upTo.at(-1), name)) return null;
    const first = since(upTo, name, spanMs);
    return ratio(growth(total(policyOf(upTo.at(-1), name).caches), total(policyOf(first, name).caches)));
  });
}
