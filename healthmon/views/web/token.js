// Asks for the bearer token when the server wants one. It is kept for this tab only.
import { html, useEffect, useRef, useState } from "./html.js";
import { connectAgain } from "./live.js";
import { keepToken, onTokenNeeded } from "./server.js";

const GIVEN = "given";
let open = () => {};
let declined = false;

/** Ask for a token, with the sentence that says why. */
export function askToken(why) {
  declined = false;
  open(why);
}

// What the page reads by itself asks once: who has said no is not asked again at each reading.
onTokenNeeded((why) => declined || open(why));

export function TokenDialog() {
  const [why, setWhy] = useState(null);
  const dialog = useRef(null);
  open = (sentence) => setWhy(sentence || "This server shows its components only to those who have a token.");
  useEffect(() => {
    if (why === null || dialog.current.open) return;
    dialog.current.returnValue = "";
    dialog.current.showModal();
  }, [why]);
  const closed = () => {
    declined = dialog.current.returnValue !== GIVEN;
    setWhy(null);
  };
  const submit = (event) => {
    event.preventDefault();
    keepToken(new FormData(event.target).get("token").trim());
    dialog.current.close(GIVEN);
    connectAgain();
  };
  return html`<dialog ref=${dialog} class="orders" aria-labelledby="token-title" onClose=${closed}>
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
