//! What was promised, as ratios within a run where it is about speed, and whether it was kept.

use std::fmt::Write;

use super::summary::{Figure, Spread, spread_of};
use crate::sample::Sample;

/// One promise.
struct Target {
    what: &'static str,
    bound: Bound,
    figures: &'static [Figure<'static>],
    /// Of the figures of one repetition.
    function: fn(&[f64]) -> f64,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

const OWN: &str = "cycles_per_s";
const P50: &str = "acquire_p50_us";

fn first(figures: &[f64]) -> f64 {
    figures[0]
}

fn ratio(figures: &[f64]) -> f64 {
    figures[0] / figures[1]
}

const TARGETS: [Target; 16] = [
    Target {
        what: "own keys, 64 workers: cycles/s ÷ those of rslock straight to the masters",
        bound: AtLeast(1.0),
        figures: &[("own", "holdfast", 64, OWN), ("own", "rslock", 64, OWN)],
        function: ratio,
    },
    Target {
        what: "the same through unary calls",
        bound: AtLeast(0.6),
        figures: &[("own", "holdfast-unary", 64, OWN), ("own", "rslock", 64, OWN)],
        function: ratio,
    },
    Target {
        what: "own keys, 64 workers: cycles/s ÷ those of etcd on one node",
        bound: AtLeast(2.5),
        figures: &[("own", "holdfast", 64, OWN), ("own", "etcd", 64, OWN)],
        function: ratio,
    },
    Target {
        what: "the same, etcd on three nodes",
        bound: AtLeast(6.0),
        figures: &[("own", "holdfast", 64, OWN), ("own", "etcd3", 64, OWN)],
        function: ratio,
    },
    Target {
        what: "one worker: acquire p50 ÷ (that of rslock + one echo)",
        bound: AtMost(1.2),
        figures: &[("own", "holdfast", 1, P50), ("own", "rslock", 1, P50), ("own", "echo", 1, P50)],
        function: |figures| figures[0] / (figures[1] + figures[2]),
    },
    Target {
        what: "contended key, 64 workers: handovers/s ÷ those of ZooKeeper on one server",
        bound: AtLeast(3.5),
        figures: &[("contended", "holdfast", 64, OWN), ("contended", "zookeeper", 64, OWN)],
        function: ratio,
    },
    Target {
        what: "contended key, 64 workers: turns of the least served ÷ those of the most served",
        bound: AtLeast(0.5),
        figures: &[
            ("contended", "holdfast", 64, "least_served"),
            ("contended", "holdfast", 64, "most_served"),
        ],
        function: ratio,
    },
    Target {
        what: "holder's process killed, to the next grant: ms",
        bound: AtMost(50.0),
        figures: &[("killed", "holdfast", 5, "process_killed_ms")],
        function: first,
    },
    Target {
        what: "holder's host gone, to the next grant: ms (ttl 5 s)",
        bound: AtMost(5_050.0),
        figures: &[("killed", "holdfast", 5, "host_gone_ms")],
        function: first,
    },
    Target {
        what: "one master of five freezes: acquire p99 ÷ that of healthy ones",
        bound: AtMost(1.3),
        figures: &[
            ("frozen", "holdfast", 64, "frozen_acquire_p99_us"),
            ("frozen", "holdfast", 64, "healthy_acquire_p99_us"),
        ],
        function: ratio,
    },
    Target {
        what: "a leader's acquire is seen by the last of 10,000 watchers after: ms",
        bound: AtMost(100.0),
        figures: &[("watchers", "holdfast", 10_000, "seen_max_ms")],
        function: first,
    },
    Target {
        what: "an idle watcher (of 10,000) on the replica: bytes",
        bound: AtMost(3_072.0),
        figures: &[("watchers", "holdfast", 10_000, "server_bytes_each")],
        function: first,
    },
    Target {
        // Nothing is exactly idle: reading a clock now and then is a thousandth.
        what: "CPU of a replica with 50,000 idle watchers: cores",
        bound: AtMost(0.005),
        figures: &[("watchers", "holdfast", 50_000, "cores_server")],
        function: first,
    },
    Target {
        what: "a held lock (of 100,000) on the replica and on one master: bytes",
        bound: AtMost(1_024.0),
        figures: &[
            ("held", "holdfast", 100_000, "server_bytes_each"),
            ("held", "holdfast", 100_000, "master_bytes_each"),
        ],
        function: |figures| figures[0] + figures[1],
    },
    Target {
        what: "CPU of server and masters per cycle beside 1,000,000 held locks ÷ beside 1,000",
        bound: AtMost(1.1),
        figures: &[
            ("held", "holdfast", 1_000_000, "cpu_server_us"),
            ("held", "holdfast", 1_000_000, "cpu_redis_us"),
            ("held", "holdfast", 1_000, "cpu_server_us"),
            ("held", "holdfast", 1_000, "cpu_redis_us"),
        ],
        function: |figures| (figures[0] + figures[1]) / (figures[2] + figures[3]),
    },
    Target {
        what: "the same beside 100,000",
        bound: AtMost(1.1),
        figures: &[
            ("held", "holdfast", 100_000, "cpu_server_us"),
            ("held", "holdfast", 100_000, "cpu_redis_us"),
            ("held", "holdfast", 1_000, "cpu_server_us"),
            ("held", "holdfast", 1_000, "cpu_redis_us"),
        ],
        function: |figures| (figures[0] + figures[1]) / (figures[2] + figures[3]),
    },
];

/// All promises of which this run says anything, and what it says.
pub(super) fn markdown(samples: &[Sample]) -> String {
    let rows = TARGETS.iter().filter_map(|target| {
        let Target { what, bound, figures, function } = target;
        let spread = spread_of(samples, figures, function)?;
        Some(row(what, *bound, spread))
    });
    let rows: Vec<String> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = "## Targets\n\n| what | target | median | from … to | |\n".to_owned();
    let _ = writeln!(text, "|---|---|---|---|---|\n{}\n", rows.join("\n"));
    text
}

fn row(what: &str, bound: Bound, Spread { median, least, most }: Spread) -> String {
    let (sign, limit, kept) = match bound {
        AtLeast(limit) => ("≥", limit, median >= limit),
        AtMost(limit) => ("≤", limit, median <= limit),
    };
    let verdict = if kept {
        "met".to_owned()
    } else {
        format!("**missed: {} of the target**", percent(median / limit))
    };
    let [limit, median, least, most] = [limit, median, least, most].map(short);
    format!("| {what} | {sign} {limit} | {median} | {least} … {most} | {verdict} |")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// With as many digits as say something.
fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 0.1 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides() {
        let spread = Spread { median: 2.0, least: 0.5, most: 9.0 };
        let met = "| fast | ≥ 2.00 | 2.00 | 0.50 … 9.00 | met |";
        assert_eq!(row("fast", AtLeast(2.0), spread), met);
        assert!(row("fast", AtLeast(2.5), spread).ends_with("**missed: 80 % of the target** |"));
        assert!(row("small", AtMost(2.0), spread).ends_with("| met |"));
        assert!(row("small", AtMost(1.6), spread).ends_with("**missed: 125 % of the target** |"));
    }

    #[test]
    fn what_was_not_measured_has_no_verdict() {
        assert_eq!(markdown(&[]), "");
        let sample = |system: &str, rate| Sample {
            point: "own".to_owned(),
            system: system.to_owned(),
            size: 64,
            repetition: 1,
            figures: [(OWN.to_owned(), rate)].into(),
        };
        let text = markdown(&[sample("holdfast", 30.0), sample("rslock", 20.0)]);
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("own keys")).collect();
        assert_eq!(rows.len(), 1, "{text}");
        assert!(rows[0].ends_with("| ≥ 1.00 | 1.50 | 1.50 … 1.50 | met |"), "{text}");
    }
}
