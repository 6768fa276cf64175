// The list of locks: a page of it, filtered by a prefix, read anew while it is looked at.

import * as api from "./api.js";
import { byId, make, makeRow, setAttribute, setCells, setNotice, setText, syncRows } from "./dom.js";
import { masterCount, quorum } from "./overview.js";
import { age, nobody, span } from "./words.js";

const COLUMNS = [
  ["Resource", ""], ["Holder", "holder"], ["Term", "number"], ["Remaining", "number"], ["Votes", "number"],
  ["Waiters", "number"], ["Notes", ""],
];
/** Every list is a scan of the masters: no sooner than this, and rarely where it takes long. */
const PERIOD = 2_500;
const REST = 4;
/** After news, and while somebody types. */
const SOON = 200;
/** Older is shown as such. */
const OLD = 10_000;
/** Less of its longest time than this, and a lease is about to end. */
const LOW = 0.25;

const asked = { prefix: "", size: 50, tokens: [""] };
let timer = 0;
let under = null;
let shownAt = 0;
let isOn = false;
let hooks = { inspect() {}, heard() {}, refused() {} };

function makeLock(lock) {
  const row = makeRow(COLUMNS);
  const name = make("button", "lock-name", make("bdi"));
  name.type = "button";
  name.title = "Inspect";
  name.addEventListener("click", () => hooks.inspect(lock.resource));
  row.cells[0].append(name);
  row.cells[1].append(make("bdi"), make("bdi", "identity"));
  const meter = make("span", "meter", make("span"));
  meter.setAttribute("aria-hidden", "true");
  row.cells[3].append(meter, make("span"));
  return row;
}

function setLock(row, lock) {
  const [name, holder, , remaining, , , notes] = row.cells;
  setText(name.firstChild.firstChild, lock.resource);
  setText(holder.firstChild, lock.foreign ? "another Redlock library" : nobody(lock.holder));
  setText(holder.lastChild, lock.identity ?? "");
  const votes = quorum() ? `${lock.votes} of ${masterCount()}` : String(lock.votes);
  setCells(row, [undefined, undefined, lock.foreign ? "–" : String(lock.fencing_token), undefined, votes, String(lock.waiters), undefined]);
  const tags = [];
  if (lock.foreign) tags.push("foreign");
  if (quorum() && lock.votes < quorum()) tags.push("no quorum: held by nobody");
  if (notes.dataset.tags !== tags.join()) {
    notes.dataset.tags = tags.join();
    notes.replaceChildren(...tags.map((tag) => make("span", "tag", tag)));
  }
  notes.classList.toggle("void", tags.length === 0);
  if (row.lease !== lock.fencing_token) {
    row.lease = lock.fencing_token;
    row.longest = 0;
    if (shownAt) flash(row);
  }
  row.until = lock.remaining === null ? null : performance.now() + lock.remaining / 1000;
  row.longest = Math.max(row.longest, lock.remaining ?? 0);
  remaining.firstChild.hidden = lock.remaining === null;
  tickLock(row);
}

function flash(row) {
  row.classList.add("fresh");
  row.addEventListener("animationend", () => row.classList.remove("fresh"), { once: true });
}

function tickLock(row) {
  const [meter, text] = row.cells[3].children;
  if (row.until === null) return setText(text, "never expires");
  const left = Math.max(0, (row.until - performance.now()) * 1000);
  setText(text, span(left));
  const part = row.longest ? left / row.longest : 0;
  meter.firstChild.style.transform = `scaleX(${Math.min(1, part).toFixed(3)})`;
  setAttribute(meter, "data-tone", part < LOW ? "warn" : undefined);
}

function showPage(page) {
  const locks = [...page.locks].sort((a, b) => (a.resource < b.resource ? -1 : a.resource > b.resource ? 1 : 0));
  syncRows(byId("lock-list").tBodies[0], locks, (lock) => lock.resource, makeLock, setLock);
  shownAt = performance.now();
  setNotice(byId("locks-problem"), "");
  const number = asked.tokens.length;
  asked.next = page.next_page_token;
  byId("next").disabled = !asked.next;
  byId("previous").disabled = number === 1;
  setText(byId("page"), number > 1 || asked.next ? `Page ${number}, ${locks.length} shown` : `${locks.length} in all`);
  const empty = byId("locks-empty");
  empty.hidden = locks.length > 0;
  setText(empty, asked.next ? "None on this page; there may be more on the next one." : asked.prefix ? `No lock begins with “${asked.prefix}”.` : "There are no locks.");
}

async function refresh() {
  clearTimeout(timer);
  if (!isOn || under) return;
  const began = performance.now();
  under = new AbortController();
  const { signal } = under;
  try {
    const query = { prefix: asked.prefix, page_size: asked.size, page_token: asked.tokens.at(-1) };
    const page = await api.get("locks", query, signal);
    hooks.heard();
    if (!signal.aborted) showPage(page);
  } catch (error) {
    if (!signal.aborted) failed(error);
  }
  if (signal.aborted) return;
  under = null;
  again(Math.max(PERIOD, (performance.now() - began) * REST));
}

function failed(error) {
  hooks.refused(error);
  if (error instanceof api.Refused) {
    setNotice(byId("locks-problem"), `The locks cannot be listed: ${error.message}`);
    if (error.status === 401 || error.status === 403) clear("Nothing can be shown.");
    // Masters that were added or renamed make page tokens worthless.
    if (error.status === 400 && asked.tokens.length > 1) asked.tokens = [""];
  }
}

/** Shows none: who looks may not see them. */
export function clear(why) {
  shownAt = 0;
  byId("lock-list").tBodies[0].replaceChildren();
  setText(byId("page"), "");
  byId("locks-empty").hidden = false;
  setText(byId("locks-empty"), why);
}

function again(pause) {
  clearTimeout(timer);
  if (isOn) timer = setTimeout(refresh, pause);
}

/** Another question: what is under way does not matter any more. */
function turn() {
  under?.abort();
  under = null;
  shownAt = 0;
  again(SOON);
}

/** Something has changed. */
export function poke() {
  if (!under) again(SOON);
}

/** Lets time pass. */
export function tick() {
  for (const row of byId("lock-list").tBodies[0].rows) tickLock(row);
  const old = performance.now() - shownAt;
  setText(byId("locks-age"), shownAt ? `as of ${age(old)} ago` : "");
  setAttribute(byId("lock-list"), "data-stale", shownAt && old > OLD ? "" : undefined);
}

/** While the page is looked at. */
export function setOn(on) {
  isOn = on;
  if (on) refresh();
  else clearTimeout(timer);
}

export function start(given) {
  hooks = given;
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  byId("prefix").addEventListener("input", () => {
    Object.assign(asked, { prefix: byId("prefix").value, tokens: [""] });
    byId("inspect-exact").disabled = !asked.prefix;
    turn();
  });
  byId("inspect-exact").addEventListener("click", () => hooks.inspect(asked.prefix));
  byId("page-size").addEventListener("change", () => {
    Object.assign(asked, { size: Number(byId("page-size").value), tokens: [""] });
    turn();
  });
  byId("next").addEventListener("click", () => {
    asked.tokens.push(asked.next);
    turn();
  });
  byId("previous").addEventListener("click", () => {
    asked.tokens.pop();
    turn();
  });
}
