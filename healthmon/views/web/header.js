// The header, the same on every view: where one is, the search, who leads, and whether the page can be trusted.
import { openHelp } from "./help.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { connectAgain, nowMs } from "./live.js";
import { go } from "./place.js";
import { themeNow, toggleTheme } from "./theme.js";
import { shardOf } from "./title.js";
import { askToken } from "./token.js";
import { duration, plural } from "./words.js";

const VIEWS = [["fleet", "/", "Fleet"], ["events", "/events", "Events"], ["alerts", "/alerts", "Alerts"], ["cluster", "/cluster", "Cluster"]];
const PULSE = { live: "live", connecting: "connecting", locked: "no token" };

export function Header({ live, fresh, place, current }) {
  return html`
    <header class="top">
      <div class="bar">
        <a class="brand" href="/">healthmon<span class="shard">${shardOf(live.health)}</span></a>
        <nav aria-label="Views">
          ${VIEWS.map(
            ([name, to, word]) =>
              html`<a href=${to} aria-current=${current === name || (current === "component" && name === "fleet") ? "page" : undefined}>${word}</a>`,
          )}
        </nav>
        <${Search} place=${place} />
        <${Pulse} live=${live} fresh=${fresh} />
        <div class="tools">
          <${ThemeButton} />
          <button type="button" class="icon" aria-label="Help and keyboard shortcuts" onClick=${openHelp}>?</button>
        </div>
      </div>
      <${Banner} fresh=${fresh} health=${live.health} />
    </header>
  `;
}

function Search({ place }) {
  const asked = place.path === "/" ? (place.query.get("q") ?? "") : "";
  const [text, setText] = useState(asked);
  const found = useRef(asked);
  useEffect(() => {
    // What was searched for here must not take the place of what has been typed since.
    if (asked !== found.current) setText(asked);
    found.current = asked;
  }, [asked]);
  useEffect(() => {
    if (text === asked) return undefined;
    const timer = setTimeout(() => {
      found.current = text.trim();
      search(text, place);
    }, 200);
    return () => clearTimeout(timer);
  }, [text]);
  const submit = (event) => {
    event.preventDefault();
    search(text, place);
    document.querySelector("[data-row] a")?.focus();
  };
  return html`<form role="search" class="search" onSubmit=${submit}>
    <input
      id="search"
      type="search"
      aria-label="Search components, for example state:dead role:api host:web-03 score:<0.6 or text"
      placeholder="Search: text, role:api, score:<0.6"
      autocomplete="off"
      spellcheck="false"
      value=${text}
      onInput=${(event) => setText(event.target.value)}
    />
    <kbd aria-hidden="true">/</kbd>
  </form>`;
}

/** Each letter replaces the last search, so that the way back leads to where the viewer was before it. */
function search(text, place) {
  const onFleet = place.path === "/";
  const query = new URLSearchParams(onFleet ? location.search : "");
  query.delete("page");
  if (text.trim()) query.set("q", text.trim());
  else query.delete("q");
  const said = query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  go(said ? `/?${said}` : "/", onFleet && place.query.has("q"));
}

function Pulse({ live, fresh }) {
  const { leader } = live.health ?? {};
  const led = leader?.since ? ` since ${duration(nowMs() - Date.parse(leader.since), true)}` : "";
  return html`<div class="pulse">
    ${leader ? html`<span class="leader">leader <a href="/cluster">${leader.replica}</a>${led}</span>` : ""}
    <span class="heart ${fresh.word}"
      >${PULSE[fresh.word] ?? "not live"}${" "}<span class="dot" aria-hidden="true"></span
      >${fresh.word === "live" ? html` <span class="age">${duration(fresh.heardMs)} ago</span>` : ""}</span
    >
  </div>`;
}

function Banner({ fresh, health }) {
  const mass = health?.mass_failure;
  return html`
    ${fresh.asOfMs || fresh.word === "locked"
      ? html`<div class="banner ${fresh.word}">
          <strong>${fresh.text}</strong>
          ${fresh.word === "locked" ? html`<button type="button" onClick=${() => askToken()}>Give a token</button>` : ""}
          ${fresh.word === "reconnecting" ? html`<button type="button" onClick=${connectAgain}>Try now</button>` : ""}
        </div>`
      : ""}
    ${mass
      ? html`<div class="banner mass">
          <strong>Mass failure</strong> ${mass.silent ? `${plural(mass.silent, "component")} fell silent at once. ` : ""}Deaths by silence and restarts
          wait: the likelier fault is the network or healthmon itself. <a href="/cluster">See the cluster</a>
        </div>`
      : ""}
  `;
}

function ThemeButton() {
  const [theme, setTheme] = useState(themeNow);
  useEffect(() => {
    const changed = () => setTheme(themeNow());
    addEventListener("themechange", changed);
    return () => removeEventListener("themechange", changed);
  }, []);
  return html`<button type="button" class="icon" aria-label=${theme === "dark" ? "Use light colours" : "Use dark colours"} onClick=${toggleTheme}>
    <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 1.5a6.5 6.5 0 1 0 0 13Z" /><circle cx="8" cy="8" r="6.5" /></svg>
  </button>`;
}
