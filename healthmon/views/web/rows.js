// Components as rows: shape and word, id, role, time in the state, last heartbeat, reason, what happens next.
import { html, useEffect, useRef } from "./html.js";
import { nowMs } from "./live.js";
import { openOrders, usualOrder } from "./orders.js";
import { State } from "./shapes.js";
import { showRows } from "./shown.js";
import { lookOf } from "./states.js";
import { duration } from "./words.js";

export function Rows({ rows, group, asOf, operate }) {
  useEffect(() => {
    showRows(rows);
    return () => showRows([]);
  }, [rows]);
  useKeptFocus(rows);
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

/** When the row that has the focus goes, the one in its place has it: who works by keyboard is not thrown out. */
function useKeptFocus(rows) {
  const last = useRef({ id: "", at: 0 });
  useEffect(() => {
    const focused = (event) => {
      const id = event.target.closest?.("[data-row]")?.dataset.row ?? "";
      if (id) last.current = { id, at: rows.findIndex((row) => row.id === id) };
      else if (event.target.closest?.("main, header")) last.current = { id: "", at: 0 };
    };
    addEventListener("focusin", focused);
    const { id, at } = last.current;
    if (id && document.activeElement === document.body && !rows.some((row) => row.id === id)) {
      const place = [...document.querySelectorAll("[data-row] a")];
      (place[Math.min(Math.max(at, 0), place.length - 1)] ?? document.querySelector("main h1"))?.focus();
    }
    return () => removeEventListener("focusin", focused);
  }, [rows]);
}

function Row({ row, asOf, operate }) {
  const now = asOf || nowMs();
  const usual = operate ? usualOrder(row) : null;
  const { next, marks } = nextWords(row, now);
  return html`<li class="row tone-${lookOf(row.state).tone}" data-row=${row.id}>
    <span class="row-state"><${State} state=${row.state} asOf=${asOf} /></span>
    <a class="row-id" href="/c/${encodeURIComponent(row.id)}">${row.id}</a>
    <span class="row-role">${row.role ? html`<span class="sr">role </span>${row.role}` : ""}</span>
    <span class="row-since"><span class="sr">for </span>${row.since ? duration(now - Date.parse(row.since), true) : ""}</span>
    <span class="row-beat">${row.last_heartbeat ? `last beat ${duration(now - Date.parse(row.last_heartbeat), true)} ago` : "never heard from"}</span>
    <span class="row-why"
      ><span class="reason">${row.reason}</span>${next ? html`<span class="next">${next}</span>` : ""}${marks.map((mark) => html`<span class="mark">${mark}</span>`)}</span
    >
    <span class="row-do"
      >${usual ? html`<button type="button" onClick=${() => openOrders(row, usual.order)}>${usual.word}</button>` : ""}${operate
        ? html`<button type="button" class="more" aria-label="Actions for ${row.id}" onClick=${() => openOrders(row)}>…</button>`
        : ""}</span
    >
  </li>`;
}

const ACTING = /^(restart attempt|taken by|not taken|`revive`)/;

/** What healthmon does next by itself, and what lies over the state: the server's words, with the time as it is now. */
function nextWords(row, now) {
  const clauses = (row.next_words ?? "").split("; ").filter(Boolean);
  const acting = clauses.length && ACTING.test(clauses[0]) ? clauses.shift() : "";
  const dueMs = row.next?.at ? Date.parse(row.next.at) - now : 0;
  const next = dueMs > 0 ? acting.replace(/ in .*$/, ` in ${duration(dueMs)}`) : acting;
  if (row.late && row.state === "healthy") clauses.push("late");
  if (row.circuit_breaker_state === "half_open") clauses.push("breaker half open");
  if (row.dependencies_down?.length) clauses.push(`needs ${row.dependencies_down.join(", ")}`);
  return { next: next.replaceAll("`", ""), marks: clauses };
}

/** What lies over a component's state, each in words. */
export function Overlays({ row }) {
  return nextWords(row, 0).marks.map((mark) => html`<span class="mark">${mark}</span>`);
}
