//! Bad input for everything of Holdfast's that reads: never a panic, a hang, a lost lease or memory
//! without bound, and always an answer that names what is wrong.
//!
//! ```text
//! targets      what is hunted, a file each
//! hunt         so many cases, shrunk when one fails
//! panics       also those in tasks             memory    at its worst moment, and over time
//! values       fields with a taste for edges   messages  made of them
//! rules        which fields are wrong          statuses  what an error must say
//! resp         values on the wire of Redis     scripts   what is asked, answered and stored
//! fake_master  answers what it is told to      bench     a connection to it
//! served       a replica in this process, and a lease that somebody holds
//! ```
//!
//! `make fuzz` runs as long as you like, `make test` a little of each target. Deliberately absent: what
//! the contract means beyond its edges, which the tests beside this crate show.

pub mod bench;
pub mod fake_master;
pub mod hunt;
pub mod memory;
pub mod messages;
pub mod panics;
pub mod resp;
pub mod rules;
pub mod scripts;
pub mod served;
pub mod statuses;
pub mod targets;
pub mod values;
