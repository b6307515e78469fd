// How long and when, in words for people: the same ones as the command line says (healthmon/views/words.py).

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const UNITS = [[DAY, "d", HOUR, "h"], [HOUR, "h", MINUTE, "m"], [MINUTE, "m", SECOND, "s"]];
const MANY = 10;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `0.4 s`, `43 s`, `2 m 5 s`, `12 m`, `2 h 4 m`; `short`: the larger unit alone. */
export function duration(ms, short = false) {
  if (ms < SECOND) return `${Math.floor(Math.max(0, ms) / 100) / 10} s`;
  for (const [unit, name, smaller, smallerName] of UNITS) {
    if (ms >= unit) {
      const rest = Math.floor((ms % unit) / smaller);
      const whole = `${Math.floor(ms / unit)} ${name}`;
      return short || !rest || ms >= MANY * unit ? whole : `${whole} ${rest} ${smallerName}`;
    }
  }
  return `${Math.floor(ms / SECOND)} s`;
}

const two = (n) => String(n).padStart(2, "0");

/** `14:31:02` of the viewer's own clock, with the day when it is another than today's; `never` for none. */
export function moment(time, nowMs = Date.now()) {
  if (!time) return "never";
  const at = new Date(time);
  const now = new Date(nowMs);
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  if (at.toDateString() === now.toDateString()) return clock;
  if (at.getFullYear() === now.getFullYear()) return `${at.getDate()} ${MONTHS[at.getMonth()]} ${clock}`;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

/** A whole number with a gap for thousands: `9 988`. */
export function number(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, " ");
}

/** `1 component`, `9 988 components`. */
export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** A number without digits that say nothing: `7`, `0.25`, `1500000`. */
export function figure(value) {
  if (typeof value !== "number") return String(value ?? "");
  return String(Number.isInteger(value) ? value : Number(value.toPrecision(4)));
}
