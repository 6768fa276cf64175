//! Who may come in, and what they may do: identities, the policy, what is read again while the server
//! serves, the audit log, the limits. Against the real server, over real connections.

mod audit;
mod floods;
mod hostile;
mod identity;
mod limits;
mod policy;
mod reload;
mod scene;
mod web;
mod web_floods;
