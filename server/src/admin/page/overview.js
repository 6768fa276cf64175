// This replica and the masters: what GetClusterStatus says.

import { announce } from "./announce.js";
import { byId, make, makeRow, setAttribute, setCells, setNotice, setText, syncRows } from "./dom.js";
import { masterState, millis, offset, span } from "./words.js";

const COLUMNS = [
  ["Name", "name"], ["State", ""], ["Round trip", "number"], ["Clock offset", "number"], ["Quarantine left", "number"],
  ["Version", ""], ["Run id", "name"], ["Detail", "wide"],
];
/** The run id of a Redis server is long; its beginning tells processes apart. */
const briefly = (runId) => (runId.length > 20 ? `${runId.slice(0, 8)}…` : runId);

let before = null;

function setFact(id, text, tone, more) {
  const fact = byId(id);
  const [, value, note] = fact.children;
  setText(value, text);
  setAttribute(fact, "data-tone", tone);
  if (more !== undefined) setText(note, more);
}

function makeMaster() {
  const row = makeRow(COLUMNS);
  row.cells[1].append(make("span", "badge"));
  return row;
}

function setMaster(row, master) {
  const [text, tone] = masterState(master.state);
  const badge = row.cells[1].firstChild;
  setText(badge, text);
  setAttribute(badge, "data-tone", tone);
  const quarantine = master.state === "quarantined" ? span(master.quarantine_remaining) : "";
  setCells(row, [
    master.name, undefined, millis(master.round_trip), offset(master.clock_offset), quarantine,
    master.version, briefly(master.run_id), master.detail,
  ]);
  row.cells[6].title = master.run_id;
  // Of who does not answer, the last that was measured.
  for (const cell of [row.cells[2], row.cells[3]]) cell.classList.toggle("quiet", master.state === "unreachable");
}

function tell(status) {
  if (!before) return;
  if (before.has_quorum !== status.has_quorum) announce(status.has_quorum ? "A quorum of masters votes again" : "Quorum lost: locks cannot be taken");
  if (before.ready !== status.ready) announce(status.ready ? "This replica is ready" : `This replica is not ready: ${status.reasons.join("; ")}`);
  const states = new Map(before.masters.map((master) => [master.name, master.state]));
  for (const { name, state } of status.masters) {
    if (states.get(name) !== state) announce(`Master ${name} is ${masterState(state)[0].toLowerCase()}`);
  }
}

/** Shows a status. */
export function showStatus(status) {
  setNotice(byId("status-problem"), "");
  setText(byId("version"), `version ${status.version}`);
  const votes = status.masters.filter((master) => master.state === "voting").length;
  const bare = status.has_quorum && votes === status.quorum && votes < status.master_count;
  setFact("fact-quorum", `${votes} of ${status.master_count} vote`, status.has_quorum ? (bare ? "warn" : "good") : "bad",
    status.has_quorum ? (bare ? `${status.quorum} are needed: none may fail` : `${status.quorum} are needed`) : `${status.quorum} are needed: no lock can be taken`);
  setFact("fact-ready", status.ready ? "Ready" : "Not ready", status.ready ? "good" : status.draining ? "warn" : "bad",
    status.ready ? "takes calls" : status.reasons.join("; "));
  setFact("fact-locks", String(status.locks));
  setFact("fact-waiters", String(status.waiters));
  setFact("fact-streams", String(status.streams));
  syncRows(byId("masters").tBodies[0], status.masters, (master) => master.name, makeMaster, setMaster);
  byId("masters-empty").hidden = status.masters.length > 0;
  tell(status);
  before = status;
}

/** There is none to show, and what was shown is nothing for who looks. */
export function showProblem(message) {
  setNotice(byId("status-problem"), message);
  before = null;
  for (const id of ["fact-quorum", "fact-ready"]) setFact(id, "–", null, "");
  for (const id of ["fact-locks", "fact-waiters", "fact-streams"]) setFact(id, "–");
  byId("masters").tBodies[0].replaceChildren();
  byId("masters-empty").hidden = false;
}

/** So many votes a lock needs; 0: not known. */
export const quorum = () => before?.quorum ?? 0;

/** And so many there are. */
export const masterCount = () => before?.master_count ?? 0;
