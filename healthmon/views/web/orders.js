// Ordering something of a component or the cluster: what it does is said, a reason asked, the result told.
import { html, useLayoutEffect, useRef, useState } from "./html.js";
import { Failure, order } from "./server.js";
import { askToken } from "./token.js";

const HOURS = [["900", "15 minutes"], ["3600", "1 hour"], ["14400", "4 hours"], ["86400", "1 day"], ["604800", "1 week"]];
const hasMethod = (row) => Boolean(row.restart_method && row.restart_method !== "none") || Boolean(row.next?.action === "restart");

// name -> the word on the button, what it does, and of whom it can be asked. `danger`: it can't be undone.
export const ORDERS = {
  restart: {
    word: "Restart",
    does: () => "It is restarted now by its restart method, as the first attempt. It must have one.",
    fits: (row) => !["restarting", "permanently_failed"].includes(row.state),
  },
  revive: {
    word: "Revive",
    does: () => "Restart attempts begin anew: it is restarted, or watched with a fresh clock where there is no restart method.",
    fits: (row) => row.state === "permanently_failed",
  },
  hold: {
    word: "Hold restarts",
    does: () => "It is no longer restarted automatically, until somebody resumes it. It is still watched.",
    fits: (row) => !row.held,
  },
  resume: {
    word: "Resume restarts",
    does: () => "It is restarted automatically again.",
    fits: (row) => Boolean(row.held),
  },
  "reset-breaker": {
    word: "Reset the breaker",
    does: () => "The circuit breaker is closed and its failures are forgotten; probes begin again.",
    fits: (row) => Boolean(row.circuit_breaker_state) && row.circuit_breaker_state !== "closed",
  },
  acknowledge: {
    word: "Acknowledge",
    does: () => "Others see that you are on it, and reminders rest. It ends by itself when the component recovers.",
    fits: (row) => !row.acknowledged_by && !["healthy", "unknown", "initializing"].includes(row.state),
  },
  unacknowledge: {
    word: "Take back the acknowledgement",
    does: () => "Nobody is on it any more.",
    fits: (row) => Boolean(row.acknowledged_by),
  },
  silence: {
    word: "Silence",
    does: () => "No alert about it goes out until then. Its state stays visible, and it is still restarted.",
    fits: (row) => !row.silenced_until,
    durations: HOURS,
  },
  unsilence: {
    word: "End the silence",
    does: () => "Alerts about it go out again.",
    fits: (row) => Boolean(row.silenced_until),
  },
  forget: {
    word: "Forget",
    does: () => "Its record, history and registration are removed. A later heartbeat registers it as a new component.",
    fits: () => true,
    danger: true,
  },
};

const SHARD = {
  "step-down": {
    word: "Step down",
    path: "/health/cluster/step-down",
    does: () => "The leader gives up its lease, and another replica takes over within a second.",
  },
  "mass-failure": {
    word: "It is real",
    path: "/health/mass-failure/resume",
    does: () => "The components did fail: deaths by silence and restarts no longer wait.",
  },
};

/** The one order that a row offers by itself: `{order, word}`, or null. */
export function usualOrder(row) {
  if (row.state === "permanently_failed") return { order: "revive", word: "Revive" };
  if (row.state === "dead" && hasMethod(row)) return { order: "restart", word: "Restart" };
  if (row.circuit_breaker_state === "open") return { order: "reset-breaker", word: "Reset" };
  return null;
}

/** The orders that fit a component now, by name. */
export const ordersFor = (row) => Object.keys(ORDERS).filter((name) => ORDERS[name].fits(row));

let opened = () => {};

/** Show what can be done about a component; with a name, ask for that at once. */
export function openOrders(row, name = "") {
  opened({ row, name: name && ordersFor(row).includes(name) ? name : "", opener: document.activeElement });
}

/** Ask for an order that concerns no one component: step-down or mass-failure. */
export function openShardOrder(name) {
  opened({ row: null, name, opener: document.activeElement });
}

export function Orders({ health }) {
  const [asked, setAsked] = useState(null);
  const [said, setSaid] = useState(null); // {text, wrong} once it is answered
  const [busy, setBusy] = useState(false);
  const dialog = useRef(null);
  opened = (what) => {
    setSaid(null);
    setBusy(false);
    setAsked(what);
  };
  useLayoutEffect(() => {
    if (asked && !dialog.current.open) dialog.current.showModal();
  }, [asked]);
  useLayoutEffect(() => {
    if (asked) dialog.current.querySelector("[data-first]")?.focus();
  }, [asked, said]);
  const closed = () => {
    const opener = asked?.opener;
    setAsked(null);
    requestAnimationFrame(() => {
      const back = opener?.isConnected ? opener : (document.querySelector(`[data-row="${asked?.row?.id}"] a`) ?? document.querySelector("main h1"));
      back?.focus();
    });
  };
  const close = () => dialog.current.close();
  const kind = asked?.name ? (ORDERS[asked.name] ?? SHARD[asked.name]) : null;
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    setBusy(true);
    setSaid(await give(asked, kind, { reason: form.get("reason").trim(), for: form.get("for") }));
    setBusy(false);
  };
  const name = asked?.row?.id ?? "the cluster";
  return html`<dialog ref=${dialog} class="orders" aria-labelledby="orders-title" onClose=${closed} onClick=${(event) => event.target === dialog.current && close()}>
    ${!asked
      ? ""
      : html`<h2 id="orders-title">${kind ? html`${kind.word} <span class="mono">${name}</span>` : html`Actions for <span class="mono">${name}</span>`}</h2>
          ${!mayOperate(health)
            ? html`<${NotPermitted} close=${close} />`
            : said
              ? html`<${Result} said=${said} close=${close} />`
              : kind
                ? html`<${Confirm} kind=${kind} busy=${busy} submit=${submit} close=${close} />`
                : html`<${Choices} row=${asked.row} choose=${(choice) => setAsked({ ...asked, name: choice })} close=${close} />`}`}
  </dialog>`;
}

const mayOperate = (health) => Boolean(health?.grant?.scopes?.includes("operate"));

async function give({ row, name }, kind, { reason, for: seconds }) {
  const path = kind.path ?? `/health/components/${encodeURIComponent(row.id)}/${name}`;
  try {
    const answer = await order(path, { reason, ...(seconds ? { for: Number(seconds) } : {}) });
    if (answer.done) return { text: `Done${answer.event?.reason ? `: ${answer.event.reason}` : "."}` };
    return { text: "It is asked, and nobody has answered yet: the leader does it as soon as there is one. See the events." };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { text: error.status === 409 ? `Refused: ${error.message}` : error.message, wrong: true };
  }
}

function Choices({ row, choose, close }) {
  return html`<ul class="choices">
      ${ordersFor(row).map(
        (name, n) => html`<li>
          <button type="button" class=${ORDERS[name].danger ? "danger" : ""} data-first=${n === 0 ? "" : undefined} onClick=${() => choose(name)}>${ORDERS[name].word}</button>
          <p>${ORDERS[name].does(row)}</p>
        </li>`,
      )}
    </ul>
    <p class="buttons"><button type="button" onClick=${close}>Cancel</button></p>`;
}

function Confirm({ kind, busy, submit, close }) {
  return html`<form onSubmit=${submit}>
    <p>${kind.does()}</p>
    ${kind.durations
      ? html`<label class="field"
          ><span>For</span><select name="for">${kind.durations.map(([seconds, word], n) => html`<option value=${seconds} selected=${n === 1}>${word}</option>`)}</select></label
        >`
      : ""}
    <label class="field"><span>Reason, for those who look later</span><input name="reason" data-first="" maxlength="120" autocomplete="off" required=${Boolean(kind.durations)} /></label>
    <p class="buttons">
      <button type="button" onClick=${close}>Cancel</button>
      <button type="submit" class=${kind.danger ? "danger" : "primary"} disabled=${busy}>${busy ? "Asking…" : kind.word}</button>
    </p>
  </form>`;
}

function Result({ said, close }) {
  return html`<p class="result ${said.wrong ? "wrong" : ""}" tabindex="-1" data-first="">${said.text}</p>
    <p class="buttons"><button type="button" class="primary" onClick=${close}>Close</button></p>`;
}

function NotPermitted({ close }) {
  const ask = () => {
    close();
    askToken("To order something, give a token with the scope operate.");
  };
  return html`<p>This needs a token with the scope <code>operate</code>; <code>healthmon token</code> makes one.</p>
    <p class="buttons">
      <button type="button" onClick=${close}>Cancel</button><button type="button" class="primary" data-first="" onClick=${ask}>Give a token</button>
    </p>`;
}
