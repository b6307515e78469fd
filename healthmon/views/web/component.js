// One component: its state and why, what happens next and what can be done, what it was like, and how to reach it.
import { Bars } from "./bars.js";
import { Charts } from "./charts.js";
import { CopyList, Senders } from "./copy.js";
import { html, useEffect } from "./html.js";
import { nowMs, useData } from "./live.js";
import { ORDERS, openOrders, ordersFor } from "./orders.js";
import { back } from "./place.js";
import { Overlays } from "./rows.js";
import { State } from "./shapes.js";
import { showComponent } from "./shown.js";
import { Timeline } from "./timeline.js";
import { duration, figure, moment, number } from "./words.js";

const AGAIN_MS = 3000;

export function Component({ id, asOf, health }) {
  const offset = -new Date().getTimezoneOffset();
  const found = useData(`/health/components/${encodeURIComponent(id)}?utc_offset=${offset}`, { when: (event) => event.component_id === id, everyMs: AGAIN_MS });
  const { data, error } = found;
  const component = data && { ...data.component, ...data.row, id };
  useEffect(() => {
    showComponent(component);
    return () => showComponent(null);
  }, [data]);
  if (!data) {
    return html`<${Back} />
      <${Title} row=${{ id }} asOf=${asOf} />
      <p class="empty">${error ? error.message : "Looking…"}</p>`;
  }
  return html`
    <${Back} />
    <${Title} row=${component} asOf=${asOf} />
    <div class="columns">
      <div class="main">
        <${Why} data=${data} />
        <${Next} data=${data} row=${component} health=${health} />
        <${Bars} bars=${data.bars ?? {}} />
        <${Charts} samples=${data.samples ?? {}} score=${data.score ?? []} />
        <${Timeline} id=${id} />
      </div>
      <div class="side">
        <${Score} score=${data.score ?? []} total=${component.score} />
        <${Identity} row=${component} />
        <${Senders} send=${data.send ?? {}} />
        <${CopyList} title="Ask Redis" lines=${data.redis ?? []} />
      </div>
    </div>
  `;
}

function Back() {
  const click = (event) => {
    event.preventDefault();
    back();
  };
  return html`<p class="back"><a href="/" data-load onClick=${click}>← Back</a></p>`;
}

function Title({ row, asOf }) {
  const now = asOf || nowMs();
  const since = row.since ? `since ${moment(row.since, now)} (${duration(now - Date.parse(row.since))})` : "";
  return html`<div class="title">
    <h1 tabindex="-1" class="mono">${row.id}</h1>
    ${row.state
      ? html`<p class="title-state"><span class="big"><${State} state=${row.state} asOf=${asOf} /></span> <span>${since}</span> <${Overlays} row=${row} /></p>
          <p class="title-more">
            ${row.role ? html`<span>role <a href="/?role=${encodeURIComponent(row.role)}">${row.role}</a></span>` : ""}
            <span>last heartbeat ${row.last_heartbeat ? `${duration(now - Date.parse(row.last_heartbeat))} ago` : "never"}</span>
            <span>score ${(row.score ?? 1).toFixed(2)}</span>
          </p>`
      : ""}
  </div>`;
}

const AHEAD = new Set(["next", "attempts", "held"]);

function Why({ data }) {
  const told = data.why_lines.filter(([label]) => label && !AHEAD.has(label));
  return html`<section class="card" aria-labelledby="why-title">
    <div class="card-head"><h2 id="why-title">Why</h2></div>
    <dl class="pairs why">${told.map(([label, words]) => html`<dt>${label}</dt><dd class=${label === "because" ? "because" : ""}>${words}</dd>`)}</dl>
  </section>`;
}

function Next({ data, row, health }) {
  const told = data.why_lines.filter(([label]) => AHEAD.has(label));
  const operate = Boolean(health?.grant?.scopes?.includes("operate"));
  return html`<section class="card" aria-labelledby="next-title">
    <div class="card-head"><h2 id="next-title">What happens next</h2></div>
    <dl class="pairs why">${told.map(([label, words]) => html`<dt>${label}</dt><dd class=${label === "next" ? "because" : ""}>${words}</dd>`)}</dl>
    <div class="orders-row">
      ${ordersFor(row).map(
        (name) => html`<button type="button" class=${ORDERS[name].danger ? "danger" : ""} onClick=${() => openOrders(row, name)}>${ORDERS[name].word}</button>`,
      )}
      ${operate ? "" : html`<span class="hint">They need a token that may operate.</span>`}
    </div>
  </section>`;
}

function Score({ score, total }) {
  if (!score.length) return "";
  return html`<section class="card" aria-labelledby="score-title">
    <div class="card-head"><h2 id="score-title">Score</h2><span class="total">${(total ?? 1).toFixed(2)}</span></div>
    <table class="score">
      <thead><tr><th scope="col">Metric</th><th scope="col">Value</th><th scope="col">Good</th><th scope="col">Warn</th><th scope="col">Critical</th><th scope="col">Score</th></tr></thead>
      <tbody>
        ${score.map(
          (line) => html`<tr>
            <th scope="row">${line.metric}</th><td>${figure(line.value)}</td><td>${bound(line.good)}</td><td>${bound(line.warn)}</td><td>${bound(line.critical)}</td>
            ${line.score === null || line.score === undefined
              ? html`<td>–</td>`
              : html`<td class="tone-${line.score < 0.4 ? "bad" : line.score < 0.7 ? "warn" : "ok"}">${line.score.toFixed(2)}</td>`}
          </tr>`,
        )}
      </tbody>
    </table>
    <p class="hint">The worst of its rows. Below 0.7 degraded, below 0.4 unhealthy.</p>
  </section>`;
}

const bound = (value) => (value === null || value === undefined ? "–" : figure(value));

const TIMES = new Set(["registered_at", "last_heartbeat"]);
const IDENTITY = [
  ["host", "host"], ["pid", "pid"], ["version", "version"], ["incarnation", "incarnation"], ["interval_s", "announced interval, s"],
  ["registered_at", "registered"], ["uptime_seconds", "uptime"], ["total_heartbeats", "heartbeats"], ["missed_heartbeats", "missed"],
  ["refused_heartbeats", "refused"], ["restart_count", "restarts"], ["depends_on", "depends on"], ["status", "says"], ["msg", "message"],
  ["circuit_breaker_state", "breaker"],
];

function Identity({ row }) {
  const pairs = IDENTITY.map(([name, label]) => [label, said(name, row[name])]).filter(([, value]) => value !== "");
  return html`<section class="card" aria-labelledby="identity-title">
    <div class="card-head"><h2 id="identity-title">Identity</h2></div>
    <dl class="pairs">${pairs.map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl>
  </section>`;
}

function said(name, value) {
  if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) return "";
  if (TIMES.has(name)) return moment(value, nowMs());
  if (name === "uptime_seconds") return duration(value * 1000);
  if (name === "depends_on") return value.map((one, n) => html`${n ? ", " : ""}<a href="/c/${encodeURIComponent(one)}">${one}</a>`);
  if (typeof value === "number" && Number.isInteger(value) && name !== "pid") return number(value);
  return String(value);
}
