// Is what the page shows still true? Whatever the replica said last is old after a few seconds, and must not
// look like news.

import { announce } from "./announce.js";
import { byId, setAttribute, setNotice, setText } from "./dom.js";
import { age } from "./words.js";

/** The replica says something every second. */
const STALE = 4_000;

let heardAt = performance.now();
let everHeard = false;
let isStale = false;
let draining = false;
let trouble = "";

/** The replica has answered. */
export function heard() {
  heardAt = performance.now();
  everHeard = true;
  trouble = "";
  show();
}

/** It has not, and why. */
export function lost(error) {
  trouble = error.name === "TypeError" ? "the replica cannot be reached" : error.message;
  show();
}

export function setDraining(value) {
  draining = value;
}

/** Looks at the time. */
export function show() {
  const old = performance.now() - heardAt;
  const stale = old > STALE;
  if (stale !== isStale) {
    isStale = stale;
    announce(stale ? "Disconnected: what is shown is out of date" : "Connected again");
    setAttribute(document.body, "data-stale", stale ? "" : undefined);
  }
  const badge = byId("link");
  const [text, tone] = stale ? ["Disconnected", "bad"] : !everHeard ? ["Connecting", "quiet"] : draining ? ["Draining", "warn"] : ["Live", "good"];
  setText(badge, text);
  setAttribute(badge, "data-tone", tone);
  const what = everHeard ? `What is shown is ${age(old)} old` : "Nothing was heard yet";
  const notice = stale ? `${what}. Trying to connect again${trouble ? `: ${trouble}` : ""}.` : "";
  setNotice(byId("stale"), notice);
  setNotice(byId("inspect-stale"), notice);
}

/** Somebody looks again: until the replica has answered, nothing is known. */
export function restart() {
  heardAt = performance.now();
  everHeard = false;
  show();
}
