// What everybody may see: how the roles are, without ids, hosts or reasons.
import { html, useEffect, useState } from "./html.js";
import { Roles } from "./roles.js";
import { STATES } from "./states.js";
import { Shape, iconOf } from "./shapes.js";
import { duration, moment } from "./words.js";

const EVERY_MS = 5000;

export function Status() {
  const [said, setSaid] = useState(null);
  const [heardMs, setHeardMs] = useState(0);
  const [, tick] = useState(0);
  useEffect(() => {
    const ask = async () => {
      tick((n) => n + 1);
      try {
        const answer = await fetch("/status", { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(EVERY_MS) });
        if (!answer.ok) return;
        setSaid(await answer.json());
        setHeardMs(performance.now());
      } catch {
        // what is shown says how old it is
      }
    };
    ask();
    const timer = setInterval(ask, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const oldMs = performance.now() - heardMs;
  const silent = said && oldMs > 2 * EVERY_MS + 1000;
  const stale = silent || (said && said.freshness?.word !== "live");
  const asOf = stale ? Date.parse(silent ? said.at : (said.freshness?.as_of ?? said.at)) : 0;
  const worst = said && (Object.keys(STATES).find((state) => said.counts[state]) ?? "unknown");
  useEffect(() => {
    if (!said) return;
    document.title = `${said.problems ? `(${said.problems}) ✖ ` : ""}Status · ${said.prefix}`;
    document.querySelector("link[rel=icon]").href = iconOf(worst);
  }, [said]);
  if (!said) return html`<main class="public"><h1>Looking…</h1></main>`;
  return html`<main class="public ${stale ? "stale" : ""}">
    <p class="brand">${said.prefix} <span class="shard">status</span></p>
    <h1 class="headline"><span class="tone-${STATES[worst].tone}"><${Shape} state=${worst} /></span> <span aria-live="polite">${said.headline.charAt(0).toUpperCase() + said.headline.slice(1)}</span></h1>
    <p class="hint">${silent ? `The server does not answer; data is ${duration(oldMs)} old` : stale ? `States are frozen; as of ${moment(asOf)}` : `As of ${moment(said.at)}`}</p>
    <${Roles} roles=${said.roles} asOf=${asOf} links=${false} />
  </main>`;
}
