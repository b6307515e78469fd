// The fleet: is anything wrong, how many, which ones, since when and why. Problems first, what is well collapsed by role.
import { Counters } from "./counters.js";
import { html } from "./html.js";
import { useData } from "./live.js";
import { go, withQuery } from "./place.js";
import { Roles } from "./roles.js";
import { Rows } from "./rows.js";
import { PROBLEMS, STATES, lookOf } from "./states.js";
import { number, plural } from "./words.js";
import { Changes } from "./changes.js";

const PER_PAGE = 50;
const AGAIN_MS = 5000; // last heartbeats go on without an event
const TOUCHING = new Set(["transition", "restart", "breaker", "flapping", "operator", "registered", "forgotten", "recovered"]);
export const SORTS = [["worst", "worst, longest"], ["id", "id"], ["since", "latest change"], ["last_heartbeat", "quietest"]];
const GROUPS = [["", "nothing"], ["role", "role"], ["state", "state"], ["host", "host"]];

/** What of the fleet is listed: by the URL, else what needs attention and what is being restarted. */
function wanted(query) {
  const states = (query.get("state") ?? "").split(",").filter((state) => state in STATES);
  const onlyProblems = query.get("problems") === "1";
  const filtered = states.length > 0 || Boolean(query.get("q") || query.get("role"));
  const asked = new URLSearchParams();
  const listed = states.length || filtered ? states : [...PROBLEMS, ...(onlyProblems ? [] : ["restarting"])];
  if (listed.length) asked.set("state", listed.join(","));
  if (onlyProblems) asked.set("problems", "1");
  for (const name of ["q", "role"]) if (query.get(name)) asked.set(name, query.get(name));
  asked.set("silenced", query.get("silenced") === "show" ? "show" : "hide");
  asked.set("sort", query.get("sort") ?? "worst");
  asked.set("page", query.get("page") ?? "1");
  asked.set("per_page", String(PER_PAGE));
  return { path: `/health/components?${asked}`, states, listed, filtered, onlyProblems };
}

export function Fleet({ place, health, asOf }) {
  const want = wanted(place.query);
  const list = useData(want.path, { when: (event) => TOUCHING.has(event.type), everyMs: AGAIN_MS });
  return html`
    <h1 class="headline" tabindex="-1"><span aria-live="polite">${health ? sentence(health) : list.error ? "Nothing is known yet" : "Looking…"}</span></h1>
    <${Counters} counts=${list.data && want.filtered ? list.data.counts : (health?.counts ?? null)} chosen=${want.states} asOf=${asOf} filter=${filterWords(place.query)} />
    <${List} list=${list} want=${want} query=${place.query} asOf=${asOf} health=${health} />
    ${want.filtered || want.onlyProblems
      ? ""
      : html`<${Roles} roles=${health?.roles ?? []} asOf=${asOf} /><${Changes} />`}
  `;
}

const sentence = ({ headline }) => headline.charAt(0).toUpperCase() + headline.slice(1);

/** What the counts count, when they do not count everything. */
function filterWords(query) {
  const parts = [query.get("role") && `role ${query.get("role")}`, query.get("q") && `“${query.get("q")}”`];
  return parts.filter(Boolean).join(", ");
}

function List({ list, want, query, asOf, health }) {
  const { data, error } = list;
  const hidden = data && health && !want.filtered ? silencedOf(want, data, health) : 0;
  return html`<section class="card list" aria-labelledby="list-title">
    <div class="card-head">
      <h2 id="list-title">${title(want, data)}</h2>
      ${want.filtered || want.onlyProblems ? html`<a class="clear" href="/">Clear the filter</a>` : ""}
      <div class="controls">
        <${Choice} label="Group by" name="group" options=${GROUPS} query=${query} />
        <${Choice} label="Sort" name="sort" options=${SORTS} query=${query} />
        <button
          type="button"
          class="toggle"
          aria-pressed=${String(query.get("silenced") === "show")}
          onClick=${() => go(withQuery({ silenced: query.get("silenced") === "show" ? "" : "show" }))}
        >
          ${query.get("silenced") === "show" ? "Silenced: shown" : `Silenced: hidden${hidden ? ` (${number(hidden)})` : ""}`}
        </button>
      </div>
    </div>
    ${error && !data ? html`<p class="empty">${error.message}</p>` : ""}
    ${data ? html`<${Rows} rows=${data.components} group=${query.get("group") ?? ""} asOf=${asOf} operate=${mayOperate(health)} />` : ""}
    ${data && !data.components.length ? html`<p class="empty">${nothing(want, health)}</p>` : ""}
    ${data && data.pages > 1 ? html`<${Pages} data=${data} />` : ""}
  </section>`;
}

/** How many of the listed states are hidden: all there are, less those that are listed. */
function silencedOf({ listed }, { total }, { counts }) {
  return Math.max(0, listed.reduce((sum, state) => sum + (counts[state] ?? 0), 0) - total);
}

const mayOperate = (health) => Boolean(health?.grant?.scopes?.includes("operate"));

function title(want, data) {
  const total = data ? ` (${number(data.total)})` : "";
  if (want.states.length) return `${want.states.map((state) => lookOf(state).word).join(", ")}${total}`;
  if (want.filtered) return `${want.onlyProblems ? "Problems found" : "Found"}${total}`;
  const restarting = data?.counts?.restarting ?? 0;
  if (want.onlyProblems || !restarting || !data) return `Needs attention${total}`;
  return `Needs attention (${number(data.total - restarting)}), restarting (${number(restarting)})`;
}

function nothing(want, health) {
  if (want.filtered) return "No component is like that.";
  const total = Object.values(health?.counts ?? {}).reduce((sum, count) => sum + count, 0);
  if (health && !total) return "No component has sent a heartbeat yet. `healthmon beat NAME` sends one.";
  return "Nothing needs attention.";
}

function Choice({ label, name, options, query }) {
  const value = query.get(name) ?? options[0][0];
  return html`<label class="choice"
    ><span>${label}</span>
    <select value=${value} onChange=${(event) => go(withQuery({ [name]: event.target.value === options[0][0] ? "" : event.target.value }))}>
      ${options.map(([key, word]) => html`<option value=${key} selected=${key === value}>${word}</option>`)}
    </select></label
  >`;
}

function Pages({ data }) {
  const to = (page) => `${withQuery({})}${withQuery({}).includes("?") ? "&" : "?"}page=${page}`;
  const first = (data.page - 1) * data.per_page + 1;
  return html`<nav class="pages" aria-label="Pages of the list">
    ${data.page > 1 ? html`<a rel="prev" href=${to(data.page - 1)}>← Previous</a>` : html`<span class="off">← Previous</span>`}
    <span>${number(first)} to ${number(Math.min(data.total, first + data.per_page - 1))} of ${plural(data.total, "component")}</span>
    ${data.page < data.pages ? html`<a rel="next" href=${to(data.page + 1)}>Next →</a>` : html`<span class="off">Next →</span>`}
  </nav>`;
}
