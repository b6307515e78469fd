// The states' shapes, drawn, since every system has other letters for them. Keyed by the letter in states.js.
import { html } from "./html.js";
import { lookOf } from "./states.js";
import { moment } from "./words.js";

const DRAWN = {
  "⊘": "M8 1.6a6.4 6.4 0 1 0 0 12.8A6.4 6.4 0 0 0 8 1.6M3.6 12.4 12.4 3.6",
  "✖": "M3.2 3.2l9.6 9.6M12.8 3.2l-9.6 9.6",
  "◆": "M8 1.4 14.6 8 8 14.6 1.4 8Z",
  "▲": "M8 2 15 14H1Z",
  "↻": "M13.4 8A5.4 5.4 0 1 1 11.6 4M11.9 1v3.2H8.7",
  "◔": "M8 1.9a6.1 6.1 0 1 0 0 12.2A6.1 6.1 0 0 0 8 1.9M8 4.2V8h3.8",
  "?": "M5 5.6a3 3 0 1 1 4.3 2.7C8.4 8.8 8 9.3 8 10.4M8 13.2v.2",
  "✔": "M2.6 8.6 6.4 12.4 13.6 4",
};
const FILLED = new Set(["◆", "▲"]);
const HEAVY = new Set(["✖", "✔"]);

const classOf = (shape) => (FILLED.has(shape) ? "filled" : HEAVY.has(shape) ? "heavy" : "");

/** A state's shape alone; the word stands beside it. */
export function Shape({ state }) {
  const { shape } = lookOf(state);
  return html`<svg class="shape ${classOf(shape)}" viewBox="0 0 16 16" aria-hidden="true"><path d=${DRAWN[shape]} /></svg>`;
}

/** Shape and word in the state's tone. `asOf`: of data that is not fresh, a Healthy says of when it is. */
export function State({ state, asOf = 0 }) {
  const look = lookOf(state);
  return html`<span class="state tone-${look.tone} ${look.weight}"
    ><${Shape} state=${state} /><span>${look.word}</span></span
  >${asOf && state === "healthy" ? html` <small class="asof">(as of ${moment(asOf)})</small>` : ""}`;
}

/** The page's icon as an address: the worst state's shape in its tone, for both schemes light enough and dark enough. */
export function iconOf(state) {
  const look = lookOf(state);
  const colour = { ok: "#2c9d66", warn: "#b98d0a", bad: "#d23a35", busy: "#4f74d8", none: "#808080" }[look.tone];
  const fill = FILLED.has(look.shape) ? colour : "none";
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="${DRAWN[look.shape]}" fill="${fill}" ` +
    `stroke="${colour}" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
