// What people are being told now, and what is silenced.
import { html } from "./html.js";
import { nowMs, useData } from "./live.js";
import { openOrders } from "./orders.js";
import { State } from "./shapes.js";
import { lookOf } from "./states.js";
import { duration, moment, number } from "./words.js";

const AGAIN_MS = 5000;

export function Alerts({ health, asOf }) {
  const found = useData("/health/alerts", { when: () => true, everyMs: AGAIN_MS });
  const firing = [...(found.data?.firing ?? [])].sort(
    (a, b) => lookOf(a.new_state).order - lookOf(b.new_state).order || Date.parse(a.since) - Date.parse(b.since),
  );
  const silences = found.data?.silences ?? [];
  const now = asOf || nowMs();
  const operate = Boolean(health?.grant?.scopes?.includes("operate"));
  return html`
    <h1 tabindex="-1">Alerts</h1>
    ${found.error && !found.data ? html`<p class="empty">${found.error.message}</p>` : ""}
    <section class="card" aria-labelledby="firing-title">
      <div class="card-head"><h2 id="firing-title">Firing (${number(found.data?.firing_total ?? firing.length)})</h2></div>
      ${firing.length
        ? html`<ul class="rows">${firing.map((alert) => html`<${Firing} key=${alert.dedup_key ?? alert.component_id} alert=${alert} now=${now} />`)}</ul>`
        : html`<p class="empty">${found.data ? "No alert is firing." : "Looking…"}</p>`}
    </section>
    <section class="card" aria-labelledby="silences-title">
      <div class="card-head"><h2 id="silences-title">Silences (${number(found.data?.silences_total ?? silences.length)})</h2></div>
      ${silences.length
        ? html`<ul class="rows silences">${silences.map(
            (one) => html`<li class="row silence" data-row=${one.id}>
              <a class="row-id" href="/c/${encodeURIComponent(one.id)}">${one.id}</a>
              <span>until ${moment(one.until, now)} (${duration(Date.parse(one.until) - now)})</span>
              <span>${one.by ? `by ${one.by}` : ""}</span>
              <span class="row-why">${one.reason}</span>
              ${operate
                ? html`<span class="row-do"><button type="button" onClick=${() => openOrders({ id: one.id, silenced_until: one.until, state: "" }, "unsilence")}>End</button></span>`
                : ""}
            </li>`,
          )}</ul>`
        : html`<p class="empty">${found.data ? "Nothing is silenced." : "Looking…"}</p>`}
    </section>
  `;
}

function Firing({ alert, now }) {
  const since = alert.since ? duration(now - Date.parse(alert.since), true) : "";
  const who = alert.component_id;
  return html`<li class="row alert" data-row=${who ?? ""}>
    <span class="row-state">${alert.new_state ? html`<${State} state=${alert.new_state} />` : html`<strong>${alert.severity}</strong>`}</span>
    ${who ? html`<a class="row-id" href="/c/${encodeURIComponent(who)}">${who}</a>` : html`<span class="row-id quiet">shard</span>`}
    <span class="row-role">${alert.severity}</span>
    <span class="row-since"><span class="sr">for </span>${since}</span>
    <span class="row-why"
      ><span class="reason">${alert.reason ?? alert.summary}</span>
      ${alert.acknowledged_by ? html`<span class="mark">acknowledged by ${alert.acknowledged_by}</span>` : ""}
      ${alert.silenced_until ? html`<span class="mark">silenced until ${moment(alert.silenced_until, now)}</span>` : ""}
      ${alert.inhibited_by ? html`<span class="mark">because of ${alert.inhibited_by}</span>` : ""}</span
    >
  </li>`;
}
