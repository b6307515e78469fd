// The one connection to the server, and how much of what is shown can be trusted.
import { useEffect, useRef, useState } from "./html.js";
import { Failure, events, read } from "./server.js";
import { duration } from "./words.js";

const SILENT_MS = 5000; // the server says something every 2 s
const AGAIN_MS = [250, 500, 1000, 2000, 4000, 8000];
const SOON_MS = 400; // between two readings of one thing, however much happens
const EVENTS = "/health/events";

const state = {
  phase: "connecting", // then live or reconnecting; locked while the server wants a token
  health: null, // the last answer of /health, with what the stream said since
  heardMs: performance.now(), // when the server last said something, by this browser's steady clock
  aheadMs: 0, // the server's clock less this one
};
const watchers = new Set();
const listeners = new Set();
let last = "";
let stop = null;
let broken = false; // whether a connection ended, or none came about, since the last one that lived

/** The server's time now, as well as it is known. */
export const nowMs = () => Date.now() + state.aheadMs;

function change(changes) {
  Object.assign(state, changes);
  for (const watcher of watchers) watcher();
}

/** The state above, anew at each change. */
export function useLive() {
  const [, setTurn] = useState(0);
  useEffect(() => {
    const watcher = () => setTurn((n) => n + 1);
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, []);
  return state;
}

/** Renders anew every second. */
export function useTicks() {
  const [, setTurn] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTurn((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
}

/** Calls `heard(event)` for each event of the stream; with null when some may have been missed. */
export function useEvents(heard) {
  const latest = useRef(heard);
  latest.current = heard;
  useEffect(() => {
    const listener = (event) => latest.current(event);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
}

/**
 * `{data, error, set}` of a path: read at once, every `everyMs`, and soon after each event that `when` accepts. What was
 * read before stays until the new answer is there. `set` changes what is shown until then.
 */
export function useData(path, { when = () => false, everyMs = 0 } = {}) {
  const [found, setFound] = useState({ path: "", data: null, error: null });
  const again = useRef(() => {});
  useEffect(() => {
    if (!path) return undefined;
    const ended = new AbortController();
    let timer = 0;
    let begunMs = -Infinity;
    let running = false;
    const load = async () => {
      clearTimeout(timer);
      timer = 0;
      running = true;
      begunMs = performance.now();
      try {
        const data = await read(path, ended.signal);
        setFound({ path, data, error: null });
      } catch (error) {
        if (ended.signal.aborted) return;
        setFound((before) => ({ ...before, error, data: error.status === 404 || error.status === 400 ? null : before.data }));
      }
      running = false;
      if (!timer && everyMs) timer = setTimeout(load, everyMs);
    };
    again.current = () => {
      clearTimeout(timer);
      const waitMs = running ? SOON_MS : Math.max(0, begunMs + SOON_MS - performance.now());
      if (waitMs) timer = setTimeout(load, waitMs);
      else load();
    };
    load();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs]);
  useEvents((event) => {
    if (event === null || when(event)) again.current();
  });
  const set = (changed) => setFound((before) => (before.data ? { ...before, data: changed(before.data) } : before));
  return { ...found, set, again: () => again.current(), loading: found.path !== path && !found.error };
}

// -- the connection ----------------------------------------------------------------------------------------------------

/** Keep the connection for as long as the page is open. */
export async function keepConnected() {
  for (let failed = 0; ; failed += 1) {
    stop = new AbortController();
    const triedMs = performance.now();
    const watch = setInterval(() => {
      if (performance.now() - Math.max(triedMs, state.heardMs) > SILENT_MS) stop.abort();
    }, 500);
    try {
      await follow(stop.signal, () => {
        failed = 0;
      });
    } catch (error) {
      if (error instanceof Failure && error.status === 401) await untilToken();
    } finally {
      clearInterval(watch);
      stop.abort();
    }
    broken = true;
    change({ phase: state.health ? "reconnecting" : "connecting" });
    const waitMs = AGAIN_MS[Math.min(failed, AGAIN_MS.length - 1)];
    await new Promise((resolve) => setTimeout(resolve, waitMs * (0.75 + Math.random() / 2)));
  }
}

let wake = () => {};

function untilToken() {
  change({ phase: "locked" });
  return new Promise((resolve) => (wake = resolve));
}

/** Try again now: there is a new token, or the viewer asks. */
export function connectAgain() {
  wake();
  stop?.abort();
}

async function follow(signal, connected) {
  await readHealth(signal);
  last ||= state.health.last_event ?? "";
  for await (const event of events(EVENTS, last, signal)) {
    connected();
    if (event.id) last = event.id;
    if (state.phase !== "live") {
      change({ phase: "live" });
      if (broken) tell(null);
      broken = false;
    }
    hear(event, signal);
  }
}

function hear(event, signal) {
  if (event.type === "freshness") {
    const changed = JSON.stringify(event.data.counts) !== JSON.stringify(state.health.counts);
    noteFreshness(event.data);
    if (changed) readSoon(signal);
  } else {
    change({ heardMs: performance.now() });
    if (event.type === "missed") tell(null);
    else tell({ type: event.type, ...event.data });
    readSoon(signal);
  }
}

function noteFreshness(said) {
  state.health = { ...state.health, ...said };
  change({ heardMs: performance.now(), aheadMs: Date.parse(said.at) - Date.now() });
}

async function readHealth(signal) {
  const health = await read("/health", signal);
  change({ health, heardMs: performance.now(), aheadMs: Date.parse(health.at) - Date.now() });
}

let readingMs = -Infinity;
let reading = 0;

function readSoon(signal) {
  if (reading) return;
  const waitMs = Math.max(0, readingMs + SOON_MS - performance.now());
  reading = setTimeout(async () => {
    readingMs = performance.now();
    reading = 0;
    await readHealth(signal).catch(() => {});
  }, waitMs);
}

function tell(event) {
  for (const listener of listeners) listener(event);
}

// -- freshness ---------------------------------------------------------------------------------------------------------

/**
 * What the viewer is told of the page's own freshness: `{word, text, asOfMs}`, word one of connecting, locked, live,
 * reconnecting, leaderless, redis_unreachable. `asOfMs` is 0 while the data is fresh, or there is none.
 */
export function freshnessOf({ phase, health, heardMs, aheadMs }) {
  const silentMs = performance.now() - heardMs;
  if (phase === "locked") {
    const asOfMs = health ? Date.now() + aheadMs - silentMs : 0;
    return { word: "locked", text: `This server wants a token${health ? `: data is ${duration(silentMs)} old` : ""}`, asOfMs };
  }
  if (!health) return { word: "connecting", text: "Connecting…", asOfMs: 0 };
  const now = Date.now() + aheadMs;
  const saidMs = Date.parse(health.freshness?.as_of ?? health.at) || now;
  if (phase !== "live" || silentMs > SILENT_MS) {
    const asOfMs = Math.min(saidMs, now - silentMs);
    const fresh = health.freshness?.word === "live" ? now - silentMs : asOfMs;
    return { word: "reconnecting", text: `Reconnecting… data is ${duration(now - fresh)} old`, asOfMs: fresh };
  }
  const word = health.freshness?.word ?? "live";
  const age = duration(Math.max(0, now - saidMs));
  if (word === "redis_unreachable") return { word, text: `Redis unreachable: data is ${age} old`, asOfMs: saidMs };
  if (word === "leaderless") return { word, text: `No leader for ${age}: states below are frozen`, asOfMs: saidMs };
  return { word: "live", text: `live`, heardMs: silentMs, asOfMs: 0 };
}
