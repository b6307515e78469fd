// The window's title and icon, so that a tab in the background tells whether anything is wrong.
import { useEffect } from "./html.js";
import { iconOf } from "./shapes.js";
import { WORST_FIRST } from "./states.js";

/** The title and the icon say how much is wrong: `(3) ✖ healthmon · prod`. */
export function useTitle(health, id) {
  const counts = health?.counts ?? {};
  const worst = WORST_FIRST.find((state) => counts[state]) ?? "unknown";
  const count = health?.problems ? `(${health.problems}) ` : "";
  const title = `${count}${health?.problems ? "✖ " : ""}${id ? `${id} · ` : ""}healthmon${shardOf(health)}`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  useEffect(() => {
    if (health) document.querySelector("link[rel=icon]").href = iconOf(worst);
  }, [worst, !health]);
}

/** ` · prod`: the prefix, where it is another than the usual one. */
export function shardOf(health) {
  return health && health.prefix !== "healthmon" ? ` · ${health.prefix}` : "";
}
