//! How the server is seen: logs, metrics and spans in the words of the design. Owns names, levels and
//! formats; what happens is counted and logged where it happens.

mod access;
mod acquires;
mod answer;
mod logs;
mod losses;
mod masters;
mod metrics;
pub mod names;
mod process;
mod replica;
mod rpc;
mod streams;
mod tenures;
mod throttle;
mod traces;
mod votes;

pub use access::{ConnectionRefusal, Connections, Limited};
pub use acquires::{AcquireOutcome, AcquireOutcomes};
pub use logs::{AUDIT, LogError, LogFilter, init as init_logs, init_audit};
pub use losses::LeasesLost;
pub use masters::{MasterWatch, suspected};
pub use metrics::{MetricsError, install as install_metrics};
pub use process::ProcessWatch;
pub use replica::{Limits, Standing, certificate_expires, reloaded};
pub use rpc::RpcMetrics;
pub use streams::{OpenStreams, StreamMethod};
pub use tenures::{Begun, Tenures};
pub use throttle::Throttle;
pub use traces::{
    CallSpan, Parent, Rounds, Traces, TracesError, name_resource, note_answer, note_outcome, parent,
};
pub use votes::Votes;
