// Taking a lock back: with a reason, and the name of the resource typed by hand.

import * as api from "./api.js";
import { byId, setAttribute, setNotice, setText } from "./dom.js";
import { forceOutcome, nobody } from "./words.js";

let meant = null;
let isDone = false;
let onDone = () => {};

const dialog = () => byId("force");
const how = () => byId("force-form").elements.how.value;

/** Opens the dialog for a lease as it was shown: a later one is not touched. */
export function openForce(lease, done) {
  meant = lease;
  onDone = done;
  isDone = false;
  byId("force-form").reset();
  setText(byId("force-resource"), lease.resource);
  setText(byId("force-holder"), nobody(lease.holder));
  setText(byId("force-term"), String(lease.token));
  setNotice(byId("force-outcome"), "");
  setEnabled(true);
  complain("force-reason", "");
  complain("force-confirm", "");
  name();
  dialog().showModal();
}

function setEnabled(enabled) {
  for (const control of byId("force-form").elements) {
    if (control.id !== "force-cancel") control.disabled = !enabled;
  }
  setText(byId("force-cancel"), isDone ? "Close" : "Cancel");
}

function name() {
  setText(byId("force-submit"), how() === "immediate" ? "Delete at once" : "Revoke");
}

/** Says what is wrong with a field; true: something is. */
function complain(id, problem) {
  setText(byId(`${id}-problem`), problem);
  setAttribute(byId(id), "aria-invalid", problem ? "true" : undefined);
  return problem !== "";
}

async function submit(event) {
  event.preventDefault();
  if (isDone) return;
  const reason = byId("force-reason").value.trim();
  const confirmation = byId("force-confirm").value;
  const noReason = complain("force-reason", reason ? "" : "Say why: whoever reads the audit log will want to know.");
  const notConfirmed = complain("force-confirm", confirmation === meant.resource ? "" : "This is not the name of the resource.");
  if (noReason || notConfirmed) return byId(noReason ? "force-reason" : "force-confirm").focus();
  setEnabled(false);
  try {
    const forced = await api.post("force-release", {
      resource: meant.resource, fencing_token: meant.token, reason, immediate: how() === "immediate", confirmation,
    });
    const [text, tone] = forceOutcome(forced);
    isDone = forced.outcome !== "unconfirmed";
    setNotice(byId("force-outcome"), text, tone);
  } catch (error) {
    const unknown = error instanceof api.Refused ? "" : " It is not known whether it happened; it is safe to try again.";
    setNotice(byId("force-outcome"), `Not done: ${error.message}.${unknown}`.replace("..", "."), "bad");
  }
  setEnabled(!isDone);
  byId(isDone ? "force-cancel" : "force-submit").focus();
  onDone();
}

export function start() {
  byId("force-form").addEventListener("submit", submit);
  byId("force-form").addEventListener("change", name);
  byId("force-cancel").addEventListener("click", () => dialog().close());
}
