//! One master and one resource: what it keeps, the atomic scripts, and the rules that can be taken
//! away one by one. Knows nothing of replicas, quorums or the network.

mod rules;
mod scripts;
mod state;

pub(crate) use rules::{BRIEF, Own, Rules, SessionNonce, V2, V2P};
pub(crate) use scripts::{Renewal, Reply};
pub(crate) use state::{ATTEMPTS, Loss, Master, REATTACHED, Revocation, message};
