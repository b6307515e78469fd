// Preact and htm as one import for every module of the page.
import htm from "./vendor/htm.mjs";
import { h, render } from "./vendor/preact.mjs";

export { render };
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.mjs";
export const html = htm.bind(h);
