// Numbers, times and states as people read them. Times come in microseconds.

const NONE = "–";

/** A time that is left or has passed: 850 ms is "0.8 s". */
export function span(micros) {
  if (micros === null || micros === undefined) return NONE;
  const seconds = Math.max(0, micros) / 1e6;
  if (seconds < 60) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  const two = (number) => String(number).padStart(2, "0");
  const whole = Math.floor(seconds);
  const [minutes, hours, days] = [Math.floor(whole / 60), Math.floor(whole / 3600), Math.floor(whole / 86400)];
  if (hours < 1) return `${minutes} min ${two(whole % 60)} s`;
  if (days < 1) return `${hours} h ${two(minutes % 60)} min`;
  return `${days} d ${hours % 24} h`;
}

/** A time in whole seconds and more, for ages. */
export function age(millis) {
  return millis < 60_000 ? `${Math.round(millis / 1000)} s` : span(Math.round(millis / 1000) * 1e6);
}

/** A round trip. */
export function millis(micros) {
  return micros === null ? NONE : `${(micros / 1000).toFixed(micros < 100_000 ? 2 : 0)} ms`;
}

/** How far a clock is ahead. */
export function offset(micros) {
  if (micros === null) return NONE;
  const sign = micros < -50 ? "−" : micros > 50 ? "+" : "±";
  const size = Math.abs(micros) / 1000;
  return size < 1000 ? `${sign}${size.toFixed(1)} ms` : `${sign}${(size / 1000).toFixed(2)} s`;
}

/** A time of day, so long ago. */
export function clockTime(microsAgo) {
  const at = new Date(Date.now() - microsAgo / 1000);
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return microsAgo < 86_400e6 / 2 ? time : `${at.toLocaleDateString()} ${time}`;
}

export const nobody = (holder) => holder || "(no name given)";

const STATES = {
  voting: ["Voting", "good"],
  quarantined: ["Quarantined", "warn"],
  unreachable: ["Unreachable", "bad"],
  misconfigured: ["Misconfigured", "bad"],
};
/** A master's state and its tone. */
export const masterState = (state) => STATES[state] ?? ["Not known yet", "quiet"];

const WHY_UNKNOWN = {
  no_quorum: "too few masters can be read",
  disagreement: "the masters show different things; it mostly passes",
  foreign_holder: "another Redlock library holds it",
  stale_view: "what was read is older than a term already seen",
};
export const whyUnknown = (reason) => WHY_UNKNOWN[reason] ?? reason;

const ENDS = {
  expired: "expired",
  released: "released",
  forced: "taken back by an operator",
  succeeded: "another term followed",
  unwatched: "not watched any more",
};
export const termEnd = (end) => (end ? ENDS[end] ?? end : "goes on");

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
/** What a force-release came to, and its tone. */
export function forceOutcome({ outcome, fencing_token: token, remaining, masters_changed: masters }) {
  switch (outcome) {
    case "revoked":
      return [`Revoked on ${plural(masters, "master")}. It cannot be extended any more and is free in ${span(remaining)} at the latest.`, "good"];
    case "deleted":
      return [`Deleted on ${plural(masters, "master")}. The resource is free; its former holder may not know it yet.`, "good"];
    case "token_mismatch":
      return [`Nothing was touched: another lease holds the resource by now, with term ${token}.`, "warn"];
    case "not_held":
      return ["Nothing was touched: nobody holds the resource any more.", "warn"];
    case "foreign_holder":
      return ["Nothing was touched: another Redlock library holds the resource.", "warn"];
    default:
      return [`Not confirmed: it may or may not have happened (${plural(masters, "master")} did it). It is safe to try again.`, "bad"];
  }
}
