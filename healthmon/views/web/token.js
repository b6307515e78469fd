// Asks for the bearer token when the server wants one. It is kept for this tab only.
import { html, useEffect, useRef, useState } from "./html.js";
import { connectAgain } from "./live.js";
import { keepToken, onTokenNeeded } from "./server.js";

let asked = () => {};

/** Ask for a token, with the sentence that says why. */
export function askToken(why) {
  asked(why);
}

export function TokenDialog() {
  const [why, setWhy] = useState(null);
  const dialog = useRef(null);
  asked = (sentence) => setWhy(sentence || "This server shows its components only to those who have a token.");
  onTokenNeeded(asked);
  useEffect(() => {
    if (why !== null && !dialog.current.open) dialog.current.showModal();
  }, [why]);
  const submit = (event) => {
    event.preventDefault();
    keepToken(new FormData(event.target).get("token").trim());
    dialog.current.close();
    connectAgain();
  };
  return html`<dialog ref=${dialog} class="orders" aria-labelledby="token-title" onClose=${() => setWhy(null)}>
    ${why === null
      ? ""
      : html`<form onSubmit=${submit}>
          <h2 id="token-title">Token</h2>
          <p>${why}</p>
          <label class="field"><span>Bearer token</span><input name="token" type="password" autocomplete="off" required autofocus /></label>
          <p class="hint">It is kept until this tab is closed.</p>
          <p class="buttons">
            <button type="button" onClick=${() => dialog.current.close()}>Cancel</button><button type="submit" class="primary">Use it</button>
          </p>
        </form>`}
  </dialog>`;
}
