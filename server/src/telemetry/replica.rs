//! What this replica is and whether it serves: the version that runs, its limits, and what `/readyz` says.

use super::names;
use metrics::{counter, gauge};
use std::time::Duration;

/// What the configuration allows, for alerts that compare with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Masters that decide.
    pub quorum: usize,
    /// How far clocks may be apart.
    pub clock_skew: Duration,
    /// Connections that may be open.
    pub connections: usize,
    /// Streams that may be open.
    pub streams: usize,
    /// That may wait, for whatever.
    pub waiters: usize,
    /// That may wait for one resource.
    pub waiters_of_a_resource: usize,
}

/// What reading files again may come to.
const RELOADS: [&str; 2] = ["ok", "failed"];

/// Certificates, tokens and policy were read again, or what is in their files is not good.
pub fn reloaded<T, E>(outcome: &Result<T, E>) {
    counter!(names::RELOADS, "outcome" => RELOADS[usize::from(outcome.is_err())]).increment(1);
}

/// When the server's certificate runs out, since the epoch; `None`: there is none.
pub fn certificate_expires(at: Option<Duration>) {
    gauge!(names::CERTIFICATE_EXPIRY).set(at.map_or(f64::NAN, |at| at.as_secs_f64()));
}

/// Whether a replica serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Ready for calls.
    Ready,
    /// Its configuration or its clock does not fit.
    NotReady,
    /// Going away.
    Draining,
}

impl Limits {
    /// As they will be for as long as the process lives, and what runs it.
    pub fn announce(&self) {
        gauge!(names::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        gauge!(names::QUORUM_SIZE).set(self.quorum as f64);
        gauge!(names::CLOCK_SKEW).set(self.clock_skew.as_secs_f64());
        for (what, limit) in [
            ("connections", self.connections),
            ("streams", self.streams),
            ("waiters", self.waiters),
            ("waiters_of_a_resource", self.waiters_of_a_resource),
        ] {
            gauge!(names::LIMIT, "of" => what).set(limit as f64);
        }
        for outcome in RELOADS {
            // There from the start: an increase from nothing is none.
            counter!(names::RELOADS, "outcome" => outcome).absolute(0);
        }
        Standing::NotReady.announce();
    }
}

impl Standing {
    /// As it is.
    pub fn announce(self) {
        gauge!(names::READY).set(f64::from(u8::from(self == Self::Ready)));
        gauge!(names::DRAINING).set(f64::from(u8::from(self == Self::Draining)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn it_is_ready_or_drains_or_neither() {
        for (standing, ready, draining) in
            [(Standing::Ready, 1, 0), (Standing::NotReady, 0, 0), (Standing::Draining, 0, 1)]
        {
            let recorder = PrometheusBuilder::new().build_recorder();
            with_local_recorder(&recorder, || standing.announce());
            let text = recorder.handle().render();
            let line = |name: &str, value: i32| text.contains(&format!("\n{name} {value}\n"));
            assert!(line(names::READY, ready) && line(names::DRAINING, draining), "{text}");
        }
    }
}
