// Lines to take along: how to send a heartbeat, and how to ask Redis without this page.
import { html, useState } from "./html.js";

const ORDER = ["redis-cli", "curl", "shell", "python", "node"];
const WORDS = { "redis-cli": "redis-cli", curl: "curl", shell: "shell", python: "Python", node: "Node" };

export function Senders({ send }) {
  const kinds = [...ORDER.filter((kind) => send[kind]), ...Object.keys(send).filter((kind) => !ORDER.includes(kind))];
  const [chosen, choose] = useState("");
  const kind = kinds.includes(chosen) ? chosen : kinds[0];
  if (!kind) return "";
  return html`<section class="card" aria-labelledby="send-title">
    <div class="card-head"><h2 id="send-title">Send a heartbeat</h2></div>
    <div class="tabs" role="group" aria-label="By which program">
      ${kinds.map((one) => html`<button type="button" aria-pressed=${String(one === kind)} onClick=${() => choose(one)}>${WORDS[one] ?? one}</button>`)}
    </div>
    <${Copied} text=${send[kind]} />
  </section>`;
}

export function CopyList({ title, lines }) {
  if (!lines.length) return "";
  return html`<section class="card" aria-label=${title}>
    <div class="card-head"><h2>${title}</h2></div>
    ${lines.map((line) => html`<${Copied} text=${line} />`)}
  </section>`;
}

function Copied({ text }) {
  const [done, setDone] = useState("");
  const copy = async () => {
    setDone((await put(text)) ? "Copied" : "Select it");
    setTimeout(() => setDone(""), 2000);
  };
  return html`<div class="copy"><pre tabindex="0">${text}</pre><button type="button" onClick=${copy}>${done || "Copy"}</button></div>`;
}

/** Browsers offer the clipboard only to pages that came by TLS or from this machine. */
async function put(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
