// What it was like: sixty cells, each the worst state of its time, and the same in words.
import { html } from "./html.js";
import { STATES, lookOf } from "./states.js";
import { plural } from "./words.js";

const SPANS = [["1h", "1 hour", "1 m"], ["24h", "24 hours", "24 m"], ["7d", "7 days", "2 h 48 m"]];

export function Bars({ bars }) {
  return html`<section class="card" aria-labelledby="bars-title">
    <div class="card-head"><h2 id="bars-title">History</h2></div>
    ${SPANS.filter(([span]) => bars[span]).map(([span, word, cell]) => html`<${Bar} cells=${bars[span]} word=${word} cell=${cell} />`)}
  </section>`;
}

function Bar({ cells, word, cell }) {
  return html`<figure class="bar-row">
    <div class="bar-word">${word}</div>
    <div class="cells" aria-hidden="true">
      ${cells.map((state) => html`<i class=${state ? `fill-${lookOf(state).tone} height-${lookOf(state).order}` : "nothing"}></i>`)}
    </div>
    <figcaption>${summary(cells, cell)}</figcaption>
  </figure>`;
}

/** `Dead in 2 of 60 intervals of 1 m, Degraded in 3, Healthy in 55`. */
function summary(cells, cell) {
  const counts = {};
  for (const state of cells) if (state) counts[state] = (counts[state] ?? 0) + 1;
  const known = cells.filter(Boolean).length;
  if (!known) return "Nothing is known of it.";
  const intervals = `${plural(known, "interval")} of ${cell}`;
  if (known === 1) return `${lookOf(cells.find(Boolean)).word}; nothing is known of the time before.`;
  const present = Object.values(STATES).filter((look) => counts[look.state]);
  return present.map((look, n) => `${look.word} in ${counts[look.state]}${n ? "" : ` of ${intervals}`}`).join(", ");
}
