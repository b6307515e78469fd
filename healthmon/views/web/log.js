// The events: what happened in the whole shard, the newest first.
import { Change } from "./changes.js";
import { html, useState } from "./html.js";
import { nowMs, useData, useEvents } from "./live.js";
import { go, withQuery } from "./place.js";
import { read } from "./server.js";
import { moment } from "./words.js";

const TYPES = ["transition", "restart", "breaker", "dependency", "flapping", "leader", "guard", "operator", "registered", "recovered", "forgotten"];
const PER_READ = 100;
const SHOWN_MAX = 1000;

export function Log({ place }) {
  const type = place.query.get("type") ?? "";
  const component = place.query.get("component") ?? "";
  const path = `/health/log?limit=${PER_READ}${type ? `&type=${type}` : ""}${component ? `&component=${encodeURIComponent(component)}` : ""}`;
  const log = useData(path);
  const [ended, setEnded] = useState(false);
  useEvents((event) => {
    if (event && (!type || event.type === type) && (!component || event.component_id === component)) {
      log.set(({ events }) => ({ events: [event, ...events.filter((one) => one.id !== event.id)].slice(0, SHOWN_MAX) }));
    }
  });
  const events = log.data?.events ?? [];
  const more = async () => {
    const said = await read(`${path}&before=${events.at(-1).id}`);
    log.set((data) => ({ events: [...data.events, ...said.events].slice(0, SHOWN_MAX) }));
    setEnded(said.events.length < PER_READ);
  };
  return html`
    <h1 tabindex="-1">Events</h1>
    <section class="card">
      <div class="card-head">
        <div class="controls">
          <label class="choice"
            ><span>Type</span
            ><select value=${type} onChange=${(event) => go(withQuery({ type: event.target.value }))}>
              <option value="">all</option>
              ${TYPES.map((one) => html`<option value=${one} selected=${one === type}>${one}</option>`)}
            </select></label
          >
          <form
            onSubmit=${(event) => {
              event.preventDefault();
              go(withQuery({ component: new FormData(event.target).get("component").trim() }));
            }}
          >
            <label class="choice"><span>Component</span><input name="component" value=${component} spellcheck="false" autocomplete="off" /></label>
          </form>
        </div>
      </div>
      ${log.error && !log.data ? html`<p class="empty">${log.error.message}</p>` : ""}
      ${events.length ? html`<ol class="log">${events.map((event) => html`<${Event} key=${event.id} event=${event} />`)}</ol>` : ""}
      ${log.data && !events.length ? html`<p class="empty">No such event.</p>` : ""}
      ${events.length >= PER_READ && !ended && events.length < SHOWN_MAX ? html`<p class="more"><button type="button" onClick=${more}>Show earlier</button></p>` : ""}
    </section>
  `;
}

/** One event: when, whose, what and why. `ofOne`: all are of one component. */
export function Event({ event, ofOne = false }) {
  const who = event.component_id;
  return html`<li class="event">
    <time datetime=${event.at}>${moment(event.at, nowMs())}</time>
    ${ofOne ? "" : who ? html`<a class="mono" href="/c/${encodeURIComponent(who)}">${who}</a>` : html`<span class="quiet">shard</span>`}
    <span class="event-what">
      ${event.type === "transition" ? html`<${Change} event=${event} />` : ""}
      <span class="reason ${event.type === "transition" ? "" : "told"}">${event.reason || event.rule || event.type}</span>
      ${event.type === "transition" ? "" : html`<span class="mark">${event.type}</span>`}
      ${event.by && !event.reason.includes(event.by) ? html`<span class="mark">by ${event.by}</span>` : ""}
      ${event.alert ? html`<span class="mark">alert</span>` : ""}
    </span>
  </li>`;
}
