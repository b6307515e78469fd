// The fleet by role, problems first; what is all well is one line.
import { html, useState } from "./html.js";
import { Shape } from "./shapes.js";
import { STATES, lookOf } from "./states.js";
import { moment, number } from "./words.js";

const SHOWN = 24;

export function Roles({ roles, asOf, links = true }) {
  const [all, setAll] = useState(false);
  const sorted = [...roles].sort((a, b) => worstOrder(a) - worstOrder(b) || b.total - a.total || (a.role < b.role ? -1 : 1));
  const shown = all ? sorted : sorted.slice(0, SHOWN);
  if (!roles.length) return "";
  return html`<section class="card" aria-labelledby="roles-title">
    <div class="card-head"><h2 id="roles-title">Roles</h2></div>
    <ul class="roles">${shown.map((role) => html`<${Role} key=${role.role} role=${role} asOf=${asOf} links=${links} />`)}</ul>
    ${shown.length < sorted.length
      ? html`<p class="more"><button type="button" onClick=${() => setAll(true)}>Show ${number(sorted.length - shown.length)} more</button></p>`
      : ""}
  </section>`;
}

function worstOrder({ counts }) {
  return Math.min(...Object.keys(counts).filter((state) => counts[state]).map((state) => lookOf(state).order));
}

function Role({ role, asOf, links }) {
  const present = Object.values(STATES).filter((look) => role.counts[look.state]);
  const well = present.length === 1 && present[0].state === "healthy";
  const name = role.role || "no role";
  return html`<li class="role">
    ${links && role.role ? html`<a class="role-name" href="/?role=${encodeURIComponent(role.role)}">${name}</a>` : html`<span class="role-name">${name}</span>`}
    <span class="role-counts">
      ${well
        ? html`<span class="tone-ok"><${Shape} state="healthy" />${number(role.total)} healthy</span>${asOf ? html` <small>(as of ${moment(asOf)})</small>` : ""}`
        : present.map(
            (look) =>
              html`<span class="tone-${look.tone}"><${Shape} state=${look.state} />${number(role.counts[look.state])}<span class="sr"> ${look.word.toLowerCase()}</span></span>`,
          )}
    </span>
    <span class="share" aria-hidden="true"
      >${present.map((look) => html`<i class="fill-${look.tone}" style=${{ flexGrow: role.counts[look.state] }}></i>`)}</span
    >
  </li>`;
}
