// Single keys, as `?` lists them. They rest while somebody types or a dialog is open, and can be turned off.
import { openHelp } from "./help.js";
import { openOrders } from "./orders.js";
import { back, go, here, withQuery } from "./place.js";
import { componentShown } from "./shown.js";

const KEPT = "healthmon-keys";
const CHORD_MS = 1500;
const GO = { f: "/", e: "/events", c: "/cluster", a: "/alerts" };
let chordMs = -Infinity;

export const keysAreOn = () => localStorage.getItem(KEPT) !== "off";

export function setKeys(on) {
  if (on) localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, "off");
}

export function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input, select, textarea")) {
      if (event.key === "Escape") leaveField(event);
    } else if (event.key === "Escape") {
      leaveView();
    } else if (keysAreOn() && pressed(event.key)) {
      event.preventDefault();
    }
  });
}

function leaveField(event) {
  event.preventDefault();
  event.target.blur();
  document.querySelector("[data-row] a")?.focus();
}

function leaveView() {
  const { path, query } = here();
  if (path !== "/") back();
  else if ([...query.keys()].length) go("/");
}

function pressed(key) {
  if (performance.now() - chordMs < CHORD_MS && GO[key]) {
    chordMs = -Infinity;
    go(GO[key]);
    return true;
  }
  chordMs = key === "g" ? performance.now() : -Infinity;
  switch (key) {
    case "/":
      document.getElementById("search")?.select();
      return true;
    case "?":
      openHelp();
      return true;
    case "j":
      return move(1);
    case "k":
      return move(-1);
    case "f":
      go(here().path === "/" ? withQuery({ problems: here().query.get("problems") !== "1" }) : "/?problems=1");
      return true;
    case "s":
      return ask("silence");
    case "r":
      return ask("restart");
    default:
      return key === "g";
  }
}

/** The row that has the focus, if any. */
const rowAtFocus = () => document.activeElement?.closest?.("[data-row]");

function move(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return false;
  const at = rows.indexOf(rowAtFocus());
  const to = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by))];
  to.querySelector("a").focus();
  to.scrollIntoView({ block: "nearest" });
  return true;
}

function ask(order) {
  const component = componentShown(rowAtFocus()?.dataset.row);
  if (!component) return false;
  openOrders(component, order);
  return true;
}
