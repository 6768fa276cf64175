// Puts the page together: one stream that says how the cluster fares, a list, and a panel that opens.

import * as api from "./api.js";
import { byId, keepRoles, setText } from "./dom.js";
import * as force from "./force.js";
import * as inspect from "./inspect.js";
import * as link from "./link.js";
import * as locks from "./locks.js";
import { showProblem, showStatus } from "./overview.js";
import * as session from "./session.js";
import * as theme from "./theme.js";

/** How often what counts down is shown anew. */
const TICK = 200;

let unfollow = () => {};
let counts = "";

function live(name, status) {
  if (name !== "status") return;
  link.setDraining(status.draining);
  link.heard();
  showStatus(status);
  // The list follows what happens here at once, and what happens elsewhere when it is next read.
  const now = `${status.locks} ${status.waiters}`;
  if (now !== counts) locks.poke();
  counts = now;
}

async function refused(error) {
  session.askFor(error);
  if (!(error instanceof api.Refused)) return link.lost(error);
  // An answer is an answer: the replica lives.
  link.heard();
}

async function noStatus(error) {
  refused(error);
  if (!(error instanceof api.Refused)) return;
  if (error.status !== 429) return showProblem(`The cluster's status is not shown: ${error.message}`);
  // Others have the streams: this page asks instead.
  await api.get("status").then((status) => live("status", status), refused);
}

function resume() {
  link.restart();
  unfollow();
  unfollow = api.follow("live", {}, live, noStatus);
  locks.setOn(true);
  inspect.resume();
}

/** Another caller looks, and must not see what the one before them did. */
function changed() {
  showProblem("");
  locks.clear("Reading the masters …");
  resume();
}

function pause() {
  unfollow();
  locks.setOn(false);
  inspect.pause();
}

async function start() {
  setText(byId("replica"), location.host);
  theme.start();
  document.querySelectorAll("table").forEach(keepRoles);
  await session.start(changed);
  const hooks = { inspect: inspect.openInspect, heard: link.heard, refused };
  locks.start(hooks);
  force.start();
  inspect.start(hooks);
  resume();
  // Nobody looks: what costs the masters something stops.
  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : resume()));
  setInterval(() => {
    link.show();
    locks.tick();
    inspect.tick();
  }, TICK);
}

start();
