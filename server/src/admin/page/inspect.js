// One resource: who holds it, what each master shows, who waits, and the terms before.

import * as api from "./api.js";
import { announce } from "./announce.js";
import { byId, make, makeRow, setAttribute, setCells, setNotice, setText, syncRows } from "./dom.js";
import { openForce } from "./force.js";
import { session } from "./session.js";
import { clockTime, masterState, nobody, span, termEnd, whyUnknown } from "./words.js";

const MASTER = [["Master", "name"], ["Vote", ""], ["Lease", "name"], ["Term", "number"], ["Ballot", "number"], ["First", "number"], ["Remaining", "number"], ["Holder", "holder"]];
const WAITER = [["Place", "number"], ["Caller", "holder"], ["Waited", "number"], ["Gives up in", "number"]];
const TERM = [["Term", "number"], ["Holder", "holder"], ["Since", "number"], ["For", "number"], ["End", ""]];
const PERIOD = 2_500;
/** `first` of a lease that was revoked. */
const REVOKED = Number.MAX_SAFE_INTEGER;

let resource = null;
let unfollow = () => {};
let timer = 0;
let held = null;
let revoked = false;
let hooks = { heard() {}, refused() {} };

const dialog = () => byId("inspect");

/** Opens the panel. */
export function openInspect(name) {
  if (resource === name && dialog().open) return;
  close();
  resource = name;
  held = null;
  revoked = false;
  setText(byId("inspect-title").firstChild, name);
  showPresent("Reading", "quiet", "the masters …");
  setText(byId("watch-link"), "");
  byId("leader").replaceChildren();
  setNotice(byId("inspect-problem"), "");
  for (const id of ["votes", "waiters", "history"]) byId(id).tBodies[0].replaceChildren();
  showForce();
  history.replaceState(null, "", `#lock=${encodeURIComponent(name)}`);
  if (!dialog().open) dialog().showModal();
  dialog().scrollTop = 0;
  resume();
}

/** Follows what is open; `pause` lets go of it while nobody looks. */
export function resume() {
  if (resource === null) return;
  pause();
  unfollow = api.follow("watch", { resource }, watched, (error) => {
    hooks.refused(error);
    if (error instanceof api.Refused) setText(byId("watch-link"), `Not live: ${error.message}`);
  });
  refresh();
}

export function pause() {
  unfollow();
  unfollow = () => {};
  clearTimeout(timer);
}

function close() {
  pause();
  resource = null;
}

function watched(name, said) {
  if (name !== "leader") return;
  hooks.heard();
  setText(byId("watch-link"), "Live: changes show at once");
  const isNews = said.reason !== "bookmark";
  showState(said.state);
  showHistory(said.history);
  if (isNews && said.reason !== "snapshot") announce(spoken(said.state));
  if (isNews) refresh();
}

async function refresh() {
  clearTimeout(timer);
  const asked = resource;
  if (asked === null) return;
  try {
    const lock = await api.get("lock", { resource: asked });
    if (asked !== resource) return;
    hooks.heard();
    setNotice(byId("inspect-problem"), "");
    show(lock);
  } catch (error) {
    if (asked !== resource) return;
    hooks.refused(error);
    if (error instanceof api.Refused) {
      setNotice(byId("inspect-problem"), `It cannot be described: ${error.message}`);
      showPresent("Not shown", "quiet", "");
    }
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, PERIOD);
}

function show(lock) {
  revoked = lock.masters.some((master) => master.first === REVOKED);
  showState(lock.state);
  syncRows(byId("votes").tBodies[0], lock.masters, (master) => master.name, makeVote, setVote);
  syncRows(byId("waiters").tBodies[0], lock.waiters, (waiter) => waiter.position, () => makeRow(WAITER), setWaiter);
  byId("waiters").hidden = lock.waiters.length === 0;
  const more = lock.waiter_count - lock.waiters.length;
  setText(byId("waiters-empty"), lock.waiters.length ? `and ${more} more` : "Nobody waits.");
  byId("waiters-empty").hidden = lock.waiters.length > 0 && more <= 0;
  showHistory(lock.history);
}

function showState(state) {
  held = state.is === "held" ? { resource, holder: state.holder, token: state.fencing_token } : null;
  if (held) held.until = performance.now() + state.remaining / 1000;
  if (state.is === "vacant") showPresent("Free", "quiet", state.last_fencing_token ? `Nobody holds it. The last term seen was ${state.last_fencing_token}.` : "Nobody holds it.");
  if (state.is === "unknown") showPresent("Unknown", "bad", `It cannot be told who holds it: ${whyUnknown(state.reason)}.`);
  tick();
  const pairs = held ? Object.entries(state.metadata).sort() : [];
  syncPairs(byId("leader"), pairs);
  showForce();
}

function syncPairs(list, pairs) {
  const text = JSON.stringify(pairs);
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  list.replaceChildren(...pairs.flatMap(([key, value]) => [make("dt", "", key), make("dd", "", value)]));
}

function showForce() {
  const { force_release_why: why } = session();
  byId("force-open").disabled = !held || why !== null;
  setText(byId("force-why"), why !== null ? why : revoked && held ? "It is revoked already and expires by itself." : "");
}

const spoken = (state) => {
  if (state.is === "held") return `${resource} is held by ${nobody(state.holder)}, term ${state.fencing_token}`;
  return state.is === "vacant" ? `${resource} is free` : `It cannot be told who holds ${resource}`;
};

function makeVote() {
  const row = makeRow(MASTER);
  row.cells[1].append(make("span", "badge"));
  return row;
}

function setVote(row, master) {
  const [state, tone] = masterState(master.state);
  const badge = row.cells[1].firstChild;
  setText(badge, master.votes ? "counts" : state.toLowerCase());
  setAttribute(badge, "data-tone", master.votes ? "good" : tone === "good" ? "warn" : tone);
  const ours = master.lease_fingerprint !== "";
  const number = (value) => (ours ? String(value) : "");
  const nothing = master.votes ? "no lease" : "";
  setCells(row, [
    master.name, undefined, ours ? master.lease_fingerprint : master.foreign ? "another library's" : nothing,
    number(master.fencing_token), number(master.ballot), master.first === REVOKED ? "revoked" : number(master.first),
    ours || master.foreign ? (master.remaining === null ? "never expires" : span(master.remaining)) : "",
    !master.votes ? master.detail : ours ? named(master) : "",
  ]);
}

/** The name somebody gave, and who they proved to be. */
const named = ({ holder, identity }) => (identity ? `${nobody(holder)} (${identity})` : nobody(holder));

function setWaiter(row, waiter) {
  setCells(row, [String(waiter.position), named(waiter), span(waiter.waited), span(waiter.wait_remaining)]);
}

function showHistory(terms) {
  const change = (row, term) => {
    const last = term.ended_ago ?? 0;
    const least = term.from_start ? "" : "at least ";
    setCells(row, [String(term.fencing_token), nobody(term.holder), clockTime(term.began_ago), `${least}${span(term.began_ago - last)}`, termEnd(term.ended)]);
  };
  syncRows(byId("history").tBodies[0], terms, (term) => term.fencing_token, () => makeRow(TERM), change);
  byId("history").hidden = terms.length === 0;
  byId("history-empty").hidden = terms.length > 0;
}

/** Lets time pass. */
export function tick() {
  if (resource === null || !held) return;
  const left = (held.until - performance.now()) * 1000;
  const how = revoked ? "free in" : "for another";
  showPresent(revoked ? "Revoked" : "Held", revoked ? "warn" : "good", `by ${nobody(held.holder)}, term ${held.token}, ${how} ${span(left)}`);
}

function showPresent(word, tone, text) {
  setText(byId("present-badge"), word);
  setAttribute(byId("present-badge"), "data-tone", tone);
  setText(byId("present"), text);
}

/** Opens what the address names. */
function fromAddress() {
  const name = location.hash.startsWith("#lock=") ? decodeURIComponent(location.hash.slice("#lock=".length)) : "";
  if (name) openInspect(name);
}

export function start(given) {
  hooks = given;
  byId("inspect-close").addEventListener("click", () => dialog().close());
  byId("force-open").addEventListener("click", () => held && openForce(held, refresh));
  dialog().addEventListener("close", () => {
    close();
    history.replaceState(null, "", location.pathname + location.search);
    // The row may have gone in the meantime.
    if (document.activeElement === document.body) byId("locks").focus();
  });
  dialog().addEventListener("click", (event) => {
    if (event.target === dialog() && event.clientX < dialog().getBoundingClientRect().left) dialog().close();
  });
  addEventListener("hashchange", fromAddress);
  fromAddress();
}
