// Components as rows: shape and word, id, role, time in the state, last heartbeat, reason, what happens next.
import { html, useEffect } from "./html.js";
import { nowMs } from "./live.js";
import { openOrders, usualOrder } from "./orders.js";
import { State } from "./shapes.js";
import { showRows } from "./shown.js";
import { lookOf } from "./states.js";
import { duration, moment } from "./words.js";

export function Rows({ rows, group, asOf, operate }) {
  useEffect(() => {
    showRows(rows);
    return () => showRows([]);
  }, [rows]);
  if (!rows.length) return "";
  if (!group) return html`<ul class="rows">${rows.map((row) => html`<${Row} key=${row.id} row=${row} asOf=${asOf} operate=${operate} />`)}</ul>`;
  const groups = new Map();
  for (const row of rows) {
    const name = group === "state" ? lookOf(row.state).word : row[group] || `no ${group}`;
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups].map(
    ([name, members]) => html`<h3 class="group">${name} <span>${members.length}</span></h3>
      <ul class="rows">${members.map((row) => html`<${Row} key=${row.id} row=${row} asOf=${asOf} operate=${operate} />`)}</ul>`,
  );
}

function Row({ row, asOf, operate }) {
  const now = asOf || nowMs();
  const usual = operate ? usualOrder(row) : null;
  const next = nextWords(row, now);
  return html`<li class="row tone-${lookOf(row.state).tone}" data-row=${row.id}>
    <span class="row-state"><${State} state=${row.state} asOf=${asOf} /></span>
    <a class="row-id" href="/c/${encodeURIComponent(row.id)}">${row.id}</a>
    <span class="row-role">${row.role ? html`<span class="sr">role </span>${row.role}` : ""}</span>
    <span class="row-since"><span class="sr">for </span>${row.since ? duration(now - Date.parse(row.since), true) : ""}</span>
    <span class="row-beat">${row.last_heartbeat ? `last beat ${duration(now - Date.parse(row.last_heartbeat), true)} ago` : "never heard from"}</span>
    <span class="row-why"
      ><span class="reason">${row.reason}</span>${next ? html`<span class="next">${next}</span>` : ""}<${Overlays} row=${row} now=${now}
    /></span>
    <span class="row-do"
      >${usual ? html`<button type="button" onClick=${() => openOrders(row, usual.order)}>${usual.word}</button>` : ""}${operate
        ? html`<button type="button" class="more" aria-label="Actions for ${row.id}" onClick=${() => openOrders(row)}>…</button>`
        : ""}</span
    >
  </li>`;
}

/** `restart 3/5 in 21 s`: what healthmon does next by itself. */
function nextWords(row, now) {
  const next = row.next;
  if (!next) return row.state === "permanently_failed" ? "nothing happens by itself" : "";
  const attempt = next.attempt ? ` ${next.attempt}/${next.max}` : "";
  const inMs = next.at ? Date.parse(next.at) - now : 0;
  return `${next.action}${attempt}${next.at ? (inMs > 0 ? ` in ${duration(inMs)}` : " is due") : ""}`;
}

/** What lies over the state, each in words. */
export function Overlays({ row, now }) {
  const marks = [
    row.held && `held${row.held === true ? "" : ` ${row.held}`}`,
    row.silenced_until && Date.parse(row.silenced_until) > now && `silenced until ${moment(row.silenced_until, now)}`,
    row.acknowledged_by && `acknowledged by ${row.acknowledged_by}`,
    row.flapping && "flapping",
    row.circuit_breaker_state === "open" && "breaker open",
    row.circuit_breaker_state === "half_open" && "breaker half open",
    row.late && "late",
    row.dependencies_down?.length > 0 && `needs ${row.dependencies_down.join(", ")}`,
  ].filter(Boolean);
  return marks.map((mark) => html`<span class="mark">${mark}</span>`);
}
