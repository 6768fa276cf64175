// Tells who cannot see the page what has changed on it.

import { byId, setText } from "./dom.js";

let waiting = [];

/** Said when the reader has time. What comes at the same time is said together. */
export function announce(text) {
  waiting.push(text);
  if (waiting.length > 1) return;
  // What stands outside an open dialog is not read out.
  const place = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  const announcer = byId("announcer");
  if (announcer.parentElement !== place) place.append(announcer);
  setTimeout(() => {
    setText(announcer, [...new Set(waiting)].slice(-5).join(". "));
    waiting = [];
  }, 200);
}
