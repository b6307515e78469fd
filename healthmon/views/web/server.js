// What is asked of the server. The token is kept for this tab only, and goes in a header, never into a URL.

const KEPT = "healthmon-token";
const WAITS_MS = 10_000;
let askForToken = () => {};

/** Whom to tell that a token is needed: called with the sentence of the server. */
export function onTokenNeeded(listener) {
  askForToken = listener;
}

export function keepToken(token) {
  if (token) sessionStorage.setItem(KEPT, token);
  else sessionStorage.removeItem(KEPT);
}

export const hasToken = () => Boolean(sessionStorage.getItem(KEPT));

/** A refusal or a failure: `status` 0 when nothing was answered at all. `message` is for the viewer. */
export class Failure extends Error {
  constructor(status, message, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The whole answer of one request. Raises Failure. */
export async function request(path, { method = "GET", body, headers = {}, signal } = {}) {
  const token = sessionStorage.getItem(KEPT);
  let answer;
  try {
    answer = await fetch(path, {
      method,
      signal,
      headers: {
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
        ...(body ? { "Content-Type": "application/json" } : {}),
        ...headers,
      },
      body: body && JSON.stringify(body),
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, "the server does not answer");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const message = said.error?.message ?? `the server answered ${answer.status}`;
  if (answer.status === 401) askForToken(token ? message : "");
  throw new Failure(answer.status, message, said.error?.code);
}

/** The JSON of a GET. */
export async function read(path, signal) {
  const given = AbortSignal.timeout(WAITS_MS);
  const answer = await request(path, { signal: signal ? AbortSignal.any([signal, given]) : given });
  return answer.json();
}

/** Order something. `{done, entry, event}`; `done` false when the leader has not answered yet. */
export async function order(path, body) {
  const answer = await request(path, { method: "POST", body });
  return { ...(await answer.json()), done: answer.status === 200 };
}

/** The server's events one by one, from `since` on: `{id, type, data}`. Ends when the connection does. */
export async function* events(path, since, signal) {
  const headers = { Accept: "text/event-stream", ...(since ? { "Last-Event-ID": since } : {}) };
  const answer = await request(path, { headers, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r\n", "\n");
    const whole = text.split("\n\n");
    text = whole.pop();
    for (const one of whole) {
      const event = parse(one);
      if (event) yield event;
    }
  }
}

function parse(text) {
  const event = { id: "", type: "message", data: "" };
  for (const line of text.split("\n")) {
    const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name === "id") event.id = value;
    else if (name === "event") event.type = value;
    else if (name === "data") event.data += value;
  }
  return event.data || event.type !== "message" ? { ...event, data: event.data ? JSON.parse(event.data) : {} } : null;
}
