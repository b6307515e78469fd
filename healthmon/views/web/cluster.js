// The replicas: who leads since when and why, how far behind the others are, and what an operator should know.
import { html } from "./html.js";
import { nowMs, useData } from "./live.js";
import { openShardOrder } from "./orders.js";
import { duration, figure, moment, number, plural } from "./words.js";

const AGAIN_MS = 2000;

export function Cluster({ health, asOf }) {
  const found = useData("/health/cluster", { when: (event) => event.type === "leader" || event.type === "guard", everyMs: AGAIN_MS });
  const { data, error } = found;
  if (!data) return html`<h1 tabindex="-1">Cluster</h1><p class="empty">${error ? error.message : "Looking…"}</p>`;
  return html`
    <h1 tabindex="-1">Cluster</h1>
    ${data.warnings?.length ? html`<ul class="warnings">${data.warnings.map((warning) => html`<li><strong aria-hidden="true">▲</strong> ${warning}</li>`)}</ul>` : ""}
    <${Leader} data=${data} health=${health} now=${asOf || nowMs()} />
    <${Replicas} replicas=${data.replicas ?? []} now=${asOf || nowMs()} />
    <${Streams} data=${data} now=${asOf || nowMs()} />
  `;
}

function Leader({ data, health, now }) {
  const { leader, last_election: election } = data;
  return html`<section class="card" aria-labelledby="leader-title">
    <div class="card-head">
      <h2 id="leader-title">Leader</h2>
      <div class="controls">
        ${leader ? html`<button type="button" onClick=${() => openShardOrder("step-down")}>Step down</button>` : ""}
        ${health?.mass_failure ? html`<button type="button" onClick=${() => openShardOrder("mass-failure")}>The mass failure is real</button>` : ""}
      </div>
    </div>
    <dl class="facts">
      <div><dt>Leader</dt><dd class="mono">${leader?.replica ?? "nobody"}</dd></div>
      <div><dt>Leads for</dt><dd>${leader?.since ? duration(now - Date.parse(leader.since)) : "–"}</dd></div>
      <div><dt>Epoch</dt><dd class="mono">${data.epoch ?? leader?.epoch ?? "–"}</dd></div>
      <div><dt>Lease left</dt><dd>${data.lease_left_ms > 0 ? `${figure(Math.round(data.lease_left_ms / 100) / 10)} s` : "none"}</dd></div>
    </dl>
    ${election ? html`<p class="hint">Last election ${moment(election.at, now)}: ${election.replica}${election.reason ? `, ${election.reason}` : ""}</p>` : ""}
  </section>`;
}

const COLUMNS = [
  ["role", "Role", (value) => value, "text"],
  ["epoch", "Epoch seen", (value) => value],
  ["lag_entries", "Lag, entries", (value) => number(value)],
  ["lag_ms", "Lag", (value) => duration(Number(value))],
  ["round_p99_ms", "Round p99, ms", (value) => figure(value)],
  ["rtt_ms", "Redis, ms", (value) => figure(value)],
  ["skew_ms", "Clock skew, ms", (value) => figure(value)],
  ["fenced_writes", "Fenced writes", (value) => number(value)],
  ["version", "Version", (value) => value, "text"],
  ["host", "Host", (value) => value, "text"],
  ["pid", "Pid", (value) => value],
];

function Replicas({ replicas, now }) {
  const shown = COLUMNS.filter(([name]) => replicas.some((replica) => replica[name] !== undefined && replica[name] !== null && replica[name] !== ""));
  return html`<section class="card" aria-labelledby="replicas-title">
    <div class="card-head"><h2 id="replicas-title">Replicas (${replicas.length})</h2></div>
    <div class="wide" tabindex="0" role="group" aria-label="Replicas, a wide table">
      <table class="replicas">
        <thead><tr><th scope="col">Replica</th>${shown.map(([, word, , kind]) => html`<th scope="col" class=${kind}>${word}</th>`)}<th scope="col">Seen</th></tr></thead>
        <tbody>
          ${replicas.map(
            (replica) => html`<tr class=${replica.here === false ? "gone" : ""}>
              <th scope="row" class="mono">${replica.id}</th>
              ${shown.map(([name, , word, kind]) => html`<td class=${kind}>${replica[name] === undefined || replica[name] === null ? "–" : word(replica[name])}</td>`)}
              <td>${replica.last_seen ? `${duration(now - Date.parse(replica.last_seen), true)} ago` : "–"}${replica.here === false ? ", gone" : ""}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function Streams({ data, now }) {
  const rejected = Object.entries(data.rejected ?? {});
  const beats = data.heartbeats ?? {};
  return html`<section class="card" aria-labelledby="streams-title">
    <div class="card-head"><h2 id="streams-title">Heartbeats</h2></div>
    <dl class="pairs">
      <dt>in the stream</dt><dd>${plural(beats.length ?? 0, "entry", "entries")}, ${beats.oldest ? `the oldest of ${moment(beats.oldest, now)}` : "none yet"}</dd>
      <dt>ever added</dt><dd>${number(beats.added ?? 0)}</dd>
      <dt>latest</dt><dd>${beats.newest ? `${duration(now - Date.parse(beats.newest))} ago` : "never"}</dd>
      ${rejected.map(([reason, count]) => html`<dt>refused: ${reason}</dt><dd>${number(count)}</dd>`)}
    </dl>
    ${rejected.length ? "" : html`<p class="hint">Nothing was refused.</p>`}
  </section>`;
}
