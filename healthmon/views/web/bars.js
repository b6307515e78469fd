// What it was like: sixty cells, each the worst state of its time, and the same in words.
import { html } from "./html.js";
import { STATES, lookOf } from "./states.js";

const SPANS = [["1h", "1 hour", "minute"], ["24h", "24 hours", "24 minutes"], ["7d", "7 days", "168 minutes"]];

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

/** `Dead in 2 of 60 minutes, Degraded in 3; Healthy in the others`. */
function summary(cells, cell) {
  const counts = {};
  for (const state of cells) if (state) counts[state] = (counts[state] ?? 0) + 1;
  const known = cells.filter(Boolean).length;
  if (!known) return "Nothing is known.";
  const times = cell === "minute" ? `${known} minutes` : `${known} times ${cell}`;
  const present = Object.values(STATES).filter((look) => counts[look.state]);
  if (present.length === 1) return `${present[0].word} throughout (${times} known)`;
  const [worst, ...others] = present.filter((look) => look.state !== "healthy");
  const told = [`${worst.word} in ${counts[worst.state]} of ${times}`, ...others.map((look) => `${look.word} in ${counts[look.state]}`)];
  return told.join(", ") + (counts.healthy ? `, Healthy in ${counts.healthy}` : "");
}
