// How figures are written. What isn't known is a dash.

const unknown = "–";
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (n) => (n == null ? unknown : grouped.format(n));
export const percent = (r) => (r == null ? unknown : (100 * r).toFixed(1) + "%");
export const rate = (n) => (n == null ? unknown : n >= 100 ? grouped.format(n) : n.toFixed(n < 10 ? 2 : 1));
export const plural = (n, one) => `${count(n)} ${one}${n === 1 ? "" : "s"}`;

// duration takes milliseconds.
export function duration(ms) {
  if (ms == null) return unknown;
  if (ms < 1) return Math.round(ms * 1000) + " µs";
  for (const [unit, size, next] of [["ms", 1, 1000], ["s", 1000, 60_000], ["min", 60_000, 3_600_000], ["h", 3_600_000, 172_800_000]]) {
    if (ms < next) return (ms / size).toPrecision(ms / size < 100 ? 2 : 3).replace(/^(\d+)\.0$/, "$1") + " " + unit;
  }
  return grouped.format(ms / 86_400_000) + " d";
}

// mean takes µs; 0 is none yet.
export const mean = (micros) => (micros > 0 ? duration(micros / 1000) : unknown);

export function bytes(n) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024 || unit === "GiB") return (unit === "B" ? n : n.toFixed(1)) + " " + unit;
    n /= 1024;
  }
}
