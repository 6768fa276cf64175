//! From the wire to the engine and back: parse, don't validate. A request becomes a value that can
//! only be right, or the list of everything that is wrong with it.
//!
//! Deliberately absent: any judgement that needs a master.

mod acquire;
mod extend;
mod fields;
mod metadata;
mod read;
mod release;
mod reply;
mod rules;
mod violations;

pub use acquire::AcquireArgs;
pub use extend::ExtendArgs;
pub use fields::LeaseId;
pub use read::{CheckArgs, DescribeArgs};
pub use release::ReleaseArgs;
pub use reply::{Receipt, held, leader, lease, released, standing, wire};
pub use rules::Rules;
pub use violations::{Violation, Violations};
