// Where the viewer is: all of it stands in the URL, so that every view can be sent to somebody.
import { useEffect, useState } from "./html.js";

const watchers = new Set();

/** `{path, query}` of the URL as it is now. */
export function here() {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

/** Go to another view; `replace` leaves no step behind for the way back. */
export function go(to, replace = false) {
  if (to === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"]({ own: true }, "", to);
  for (const watcher of watchers) watcher();
  if (!replace) scrollTo(0, 0);
}

/** The same view with other parameters; an empty one is left out. The page of a list starts anew. */
export function withQuery(changes) {
  const { path, query } = here();
  query.delete("page");
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null || value === false) query.delete(name);
    else query.set(name, value === true ? "1" : value);
  }
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text ? `${path}?${text}` : path;
}

/** Back to where the viewer came from; to the fleet when it came from elsewhere. */
export function back() {
  if (history.state?.own) history.back();
  else go("/");
}

/** The place, anew at each change. */
export function usePlace() {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const watcher = () => setPlace(here());
    watchers.add(watcher);
    addEventListener("popstate", watcher);
    return () => {
      watchers.delete(watcher);
      removeEventListener("popstate", watcher);
    };
  }, []);
  return place;
}

/** Follow links within the page without loading it again. */
export function followLinks() {
  addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !plain || link.target || link.origin !== location.origin || link.hasAttribute("data-load")) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
