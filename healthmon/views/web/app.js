// The page: header, one view, and what lies over them.
import { Alerts } from "./alerts.js";
import { Cluster } from "./cluster.js";
import { Component } from "./component.js";
import { Log } from "./log.js";
import { Fleet } from "./fleet.js";
import { Header } from "./header.js";
import { Help } from "./help.js";
import { html, render, useEffect, useRef } from "./html.js";
import { listenToKeys } from "./keyboard.js";
import { freshnessOf, keepConnected, useLive, useTicks } from "./live.js";
import { Orders } from "./orders.js";
import { followLinks, usePlace } from "./place.js";
import { Status } from "./status.js";
import { setTheme } from "./theme.js";
import { useTitle } from "./title.js";
import { TokenDialog } from "./token.js";

const VIEWS = [
  [/^\/$/, Fleet, "fleet"],
  [/^\/c\/([^/]+)$/, Component, "component"],
  [/^\/events$/, Log, "events"],
  [/^\/alerts$/, Alerts, "alerts"],
  [/^\/cluster$/, Cluster, "cluster"],
];

function viewAt(path) {
  for (const [pattern, view, name] of VIEWS) {
    const match = pattern.exec(path);
    if (match) return { view, name, id: match[1] ? decodeURIComponent(match[1]) : "" };
  }
  return { view: Nowhere, name: "nowhere", id: "" };
}

function Nowhere() {
  return html`<section class="empty"><h1 tabindex="-1">There is no such view</h1><p><a href="/">Go to the fleet</a></p></section>`;
}

function App() {
  const place = usePlace();
  const live = useLive();
  useTicks();
  const fresh = freshnessOf(live);
  const { view, name, id } = viewAt(place.path);
  useTitle(live.health, id);
  useFocus(place.path);
  const stale = fresh.asOfMs > 0;
  return html`
    <a class="skip" href="#content" data-load>Skip to the content</a>
    <${Header} live=${live} fresh=${fresh} place=${place} current=${name} />
    <main id="content" tabindex="-1" class=${stale ? "stale" : ""}>
      <${view} key=${name + id} id=${id} place=${place} health=${live.health} asOf=${fresh.asOfMs} />
    </main>
    <${Orders} health=${live.health} />
    <${Help} />
    <${TokenDialog} />
  `;
}

/** After a step to another view the focus is on its heading; after the first load it is left where it is. */
function useFocus(path) {
  const before = useRef(path);
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    document.querySelector("main h1")?.focus({ preventScroll: true });
  }, [path]);
}

setTheme();
const page = document.getElementById("page");
page.replaceChildren();
if (location.pathname === "/status") {
  render(html`<${Status} />`, page);
} else {
  followLinks();
  listenToKeys();
  render(html`<${App} />`, page);
  keepConnected();
}
