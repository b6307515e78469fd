// What happened to one component, the newest first.
import { html, useState } from "./html.js";
import { useData } from "./live.js";
import { read } from "./server.js";
import { Event } from "./log.js";

const PER_READ = 25;

export function Timeline({ id }) {
  const path = `/health/components/${encodeURIComponent(id)}/timeline?limit=${PER_READ}`;
  const latest = useData(path, { when: (event) => event.component_id === id });
  const [older, setOlder] = useState([]);
  const [ended, setEnded] = useState(false);
  const events = [...(latest.data?.events ?? []), ...older];
  const more = async () => {
    const said = await read(`${path}&before=${events.at(-1).id}`);
    setOlder([...older, ...said.events]);
    setEnded(said.events.length < PER_READ);
  };
  return html`<section class="card" aria-labelledby="timeline-title">
    <div class="card-head"><h2 id="timeline-title">Timeline</h2></div>
    ${events.length ? html`<ol class="log">${events.map((event) => html`<${Event} key=${event.id} event=${event} ofOne=${true} />`)}</ol>` : html`<p class="empty">Nothing yet.</p>`}
    ${events.length >= PER_READ && !ended ? html`<p class="more"><button type="button" onClick=${more}>Show earlier</button></p>` : ""}
  </section>`;
}
