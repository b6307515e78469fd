// The latest changes, the newest first: they come with the page's own connection.
import { html } from "./html.js";
import { useData, useEvents } from "./live.js";
import { Shape } from "./shapes.js";
import { lookOf } from "./states.js";
import { moment } from "./words.js";

const SHOWN = 8;

export function Changes() {
  const log = useData(`/health/log?type=transition&limit=${SHOWN}`);
  useEvents((event) => {
    if (event?.type === "transition") {
      log.set(({ events }) => ({ events: [event, ...events.filter((one) => one.id !== event.id)].slice(0, SHOWN) }));
    }
  });
  const events = log.data?.events ?? [];
  if (!events.length) return "";
  return html`<section class="card" aria-labelledby="changes-title">
    <div class="card-head"><h2 id="changes-title">Recent changes</h2><a class="clear" href="/events">All events</a></div>
    <ol class="changes">${events.map((event) => html`<li key=${event.id}>
      <time datetime=${event.at}>${moment(event.at)}</time>
      <a href="/c/${encodeURIComponent(event.component_id)}">${event.component_id}</a>
      <${Change} event=${event} />
      <span class="reason">${event.reason}</span>
    </li>`)}</ol>
  </section>`;
}

/** `Unhealthy → ✖ Dead`. */
export function Change({ event }) {
  const to = lookOf(event.to);
  return html`<span class="change"
    >${event.from ? html`<span>${lookOf(event.from).word}</span> <span aria-label="to">→</span> ` : ""}<span class="tone-${to.tone}"
      ><${Shape} state=${event.to} />${to.word}</span
    ></span
  >`;
}
