//! How the server is seen: logs, metrics and spans in the words of the design. Owns names, levels and
//! formats; what happens is counted and logged where it happens.

mod acquires;
mod logs;
mod masters;
mod metrics;
mod rpc;
mod streams;
mod throttle;
mod traces;

pub use acquires::{AcquireOutcome, AcquireOutcomes};
pub use logs::{AUDIT, LogError, init as init_logs};
pub use masters::{MasterWatch, suspected};
pub use metrics::{MetricsError, install as install_metrics, names};
pub use rpc::RpcMetrics;
pub use streams::{LeasesLost, OpenStreams, StreamMethod};
pub use throttle::Throttle;
pub use traces::{
    CallSpan, Parent, Rounds, Traces, TracesError, name_resource, note_answer, note_outcome, parent,
};
