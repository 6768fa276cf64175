// The way to the replica: requests with the caller's token, and streams of events.

import { recall } from "./dom.js";

const KEY = "holdfast-token";
const OWN = { "x-holdfast-dashboard": "1" };

/** An answer that is none, with its reason. */
export class Refused extends Error {
  constructor(status, reason, message) {
    super(message || reason);
    this.status = status;
    this.reason = reason;
  }
}

let present = recall(() => sessionStorage.getItem(KEY)) ?? "";

export const token = () => present;

/** Kept in this tab, and nowhere else. */
export function setToken(text) {
  present = text;
  recall(() => (text ? sessionStorage.setItem(KEY, text) : sessionStorage.removeItem(KEY)));
}

async function request(path, options = {}) {
  const headers = { ...OWN, ...options.headers };
  if (token()) headers.authorization = `Bearer ${token()}`;
  const response = await fetch(`api/${path}`, { cache: "no-store", ...options, headers });
  if (response.ok) return response;
  const why = await response.json().catch(() => ({}));
  throw new Refused(response.status, why.reason ?? "", why.message ?? `HTTP ${response.status}`);
}

export async function get(path, query = {}, signal = undefined) {
  const text = new URLSearchParams(query).toString();
  const timeout = AbortSignal.timeout(10_000);
  const both = signal ? AbortSignal.any([signal, timeout]) : timeout;
  return (await request(text ? `${path}?${text}` : path, { signal: both })).json();
}

export async function post(path, body) {
  const headers = { "content-type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(15_000) };
  return (await request(path, options)).json();
}

/** The events of a stream as [name, data], until it ends. */
export async function* events(path, query, signal) {
  const text = new URLSearchParams(query).toString();
  const response = await request(text ? `${path}?${text}` : path, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const [name, data] = part.split("\n");
      yield [name.slice("event: ".length), JSON.parse(data.slice("data: ".length))];
    }
  }
}

/**
 * Keeps a stream open: again after it ended, later each time it fails. `onEvent(name, data)` hears it,
 * `onTrouble(error)` why there is none. Returns a function that ends it.
 */
export function follow(path, query, onEvent, onTrouble) {
  const over = new AbortController();
  const run = async () => {
    let pause = 500;
    while (!over.signal.aborted) {
      try {
        for await (const [name, data] of events(path, query, over.signal)) {
          pause = 500;
          onEvent(name, data);
        }
      } catch (error) {
        if (over.signal.aborted) return;
        onTrouble(error);
        pause = Math.min(pause * 2, error instanceof Refused ? 10_000 : 3_000);
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  run();
  return () => over.abort();
}
