// Who looks, and signing in where the replica asks.

import * as api from "./api.js";
import { byId, setText } from "./dom.js";

const NOBODY = { authentication: true, identity: null, missing: [], force_release_why: "sign in first" };

let present = NOBODY;
let onChange = () => {};
let dismissed = false;

/** What is known of the caller. */
export const session = () => present;

/** Asks who one is. */
async function load() {
  try {
    present = await api.get("session");
  } catch (error) {
    if (error.status !== 401) throw error;
    present = { ...NOBODY, why: error.message };
  }
  byId("who").hidden = !present.authentication;
  const missing = present.missing.length ? `, without ${present.missing.join(", ")}` : "";
  setText(byId("who"), present.identity ? `You are ${present.identity}${missing}` : "Not signed in");
  byId("sign").hidden = !present.authentication;
  setText(byId("sign"), present.identity ? "Sign out" : "Sign in");
}

/** An answer was refused for want of a token: asks for one, unless that was declined. */
export function askFor(error) {
  if (error.status === 401 && !dismissed && !byId("signing").open) open(api.token() ? error.message : "");
}

function open(problem) {
  setText(byId("token-problem"), problem);
  byId("token").value = "";
  byId("signing").showModal();
}

async function signIn(event) {
  event.preventDefault();
  api.setToken(byId("token").value.trim());
  dismissed = false;
  await load().catch(() => {});
  if (!present.identity) {
    api.setToken("");
    setText(byId("token-problem"), present.why || "The token was not accepted.");
    byId("token").select();
    return;
  }
  byId("signing").close();
  onChange();
}

/** Starts; `changed` is called when another caller looks. */
export async function start(changed) {
  onChange = changed;
  byId("signing-form").addEventListener("submit", signIn);
  byId("signing-cancel").addEventListener("click", () => byId("signing").close());
  byId("signing").addEventListener("close", () => (dismissed = !present.identity));
  byId("sign").addEventListener("click", async () => {
    if (!present.identity) return open("");
    api.setToken("");
    dismissed = true;
    await load().catch(() => {});
    onChange();
  });
  await load().catch(() => {});
}

/** After the replica was away: it may have another configuration. */
export const reload = () => load().catch(() => {});
