// Light or dark: the system's choice until the viewer makes one, which is kept.
const KEPT = "healthmon-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export const themeNow = () => localStorage.getItem(KEPT) ?? (dark.matches ? "dark" : "light");

/** Show the theme that is kept, or the system's; follow it when it changes. */
export function setTheme() {
  document.documentElement.dataset.theme = themeNow();
  dark.onchange = setTheme;
  dispatchEvent(new Event("themechange"));
}

export function toggleTheme() {
  const next = themeNow() === "dark" ? "light" : "dark";
  if (next === (dark.matches ? "dark" : "light")) localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, next);
  setTheme();
}
