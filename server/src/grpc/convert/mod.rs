//! From the wire to the engine and back: parse, don't validate. A request becomes a value that can
//! only be right, or the list of everything that is wrong with it.
//!
//! Deliberately absent: any judgement that needs a master.

mod acquire;
mod admin;
mod extend;
mod fields;
mod hold;
mod metadata;
mod page;
mod read;
mod release;
mod reply;
mod rules;
mod session;
mod violations;

pub use acquire::AcquireArgs;
pub use admin::{ForceArgs, ListArgs};
pub use extend::ExtendArgs;
pub use fields::LeaseId;
pub use hold::HoldArgs;
pub use page::Position;
pub use read::{CheckArgs, DescribeArgs, WatchArgs};
pub use release::ReleaseArgs;
pub use reply::{
    Receipt, doubt, held, identity, leader, lease, lost, released, risk, standing, wire,
};
pub use rules::Rules;
pub use session::SessionArgs;
pub use violations::{Violation, Violations};
