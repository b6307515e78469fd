// How many are in each state; each count is a button that shows just those.
import { html } from "./html.js";
import { go, withQuery } from "./place.js";
import { Shape } from "./shapes.js";
import { STATES } from "./states.js";
import { moment, number } from "./words.js";

/** `counts` null: nothing is known yet, which is not zero. */
export function Counters({ counts, chosen, asOf, filter }) {
  return html`<div class="counters" role="group" aria-label="Components by state${filter ? ` of ${filter}` : ""}; each shows only those">
    ${Object.values(STATES).map((look) => {
      const count = counts ? (counts[look.state] ?? 0) : null;
      const pressed = chosen.includes(look.state);
      const others = chosen.filter((state) => state !== look.state);
      const next = pressed ? others : [...chosen, look.state];
      return html`<button
        type="button"
        class="counter tone-${look.tone} ${look.weight} ${count ? "" : "zero"}"
        aria-pressed=${String(pressed)}
        data-state=${look.state}
        onClick=${() => go(withQuery({ state: next.join(",") }))}
      >
        <span class="count">${count === null ? "–" : number(count)} </span>
        <span class="word"><${Shape} state=${look.state} />${look.word}<span class="sr">${count === 1 ? " component" : " components"}</span></span>
        ${asOf && look.state === "healthy" ? html`<small>(as of ${moment(asOf)})</small>` : ""}
      </button>`;
    })}
  </div>`;
}
