// `?`: the keys, the search, and the shapes.
import { html, useRef, useState } from "./html.js";
import { keysAreOn, setKeys } from "./keyboard.js";
import { State } from "./shapes.js";
import { STATES } from "./states.js";

const KEYS = [
  ["/", "search"], ["j k", "move down and up the list"], ["Enter", "open the component"], ["Esc", "back"],
  ["f", "only problems"], ["g f", "fleet"], ["g e", "events"], ["g c", "cluster"], ["g a", "alerts"],
  ["s", "silence the component"], ["r", "restart the component"], ["?", "this help"],
];
const SEARCHES = [
  ["text", "in id, role, host, reason and message"], ["state:dead,degraded", "in any of these states"],
  ["role:api host:web-03", "of this role on this host"], ["score:<0.6", "with a score below"],
];
const MEANINGS = {
  permanently_failed: "restarts did not help; a person has to", dead: "nothing was heard for too long, or its process ended",
  unhealthy: "long silent, failing, or its breaker is open", degraded: "late, slow, or a probe failed",
  restarting: "a restart is under way", initializing: "it says that it starts", unknown: "not heard from yet, or it said goodbye",
  healthy: "heard from, and well",
};

let opened = () => {};

export const openHelp = () => opened();

export function Help() {
  const dialog = useRef(null);
  const [on, setOn] = useState(keysAreOn);
  opened = () => {
    if (!dialog.current.open) dialog.current.showModal();
  };
  const close = () => dialog.current.close();
  return html`<dialog ref=${dialog} class="help" aria-labelledby="help-title" onClick=${(event) => event.target === dialog.current && close()}>
    <h2 id="help-title">Help</h2>
    <div class="help-columns">
      <section>
        <h3>Keys</h3>
        <dl class="pairs keys">${KEYS.map(([keys, does]) => html`<dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd>`)}</dt><dd>${does}</dd>`)}</dl>
        <label class="check"
          ><input
            type="checkbox"
            checked=${on}
            onChange=${(event) => {
              setKeys(event.target.checked);
              setOn(event.target.checked);
            }}
          />
          Single-letter keys are on</label
        >
      </section>
      <section>
        <h3>States, worst first</h3>
        <dl class="pairs">${Object.keys(STATES).map((state) => html`<dt><${State} state=${state} /></dt><dd>${MEANINGS[state]}</dd>`)}</dl>
        <h3>Search</h3>
        <dl class="pairs">${SEARCHES.map(([text, finds]) => html`<dt><code>${text}</code></dt><dd>${finds}</dd>`)}</dl>
      </section>
    </div>
    <p class="buttons"><button type="button" class="primary" onClick=${close}>Close</button></p>
  </dialog>`;
}
