//! The samples as tables of Markdown, a table a point.

use std::fmt::Write;

use super::summary::{Spread, spread};
use crate::sample::Sample;

/// A column: its heading, the figure, and how many digits follow the point.
type Column = (&'static str, &'static str, usize);

/// One table.
struct Table {
    title: &'static str,
    point: &'static str,
    /// What the size counts.
    size: &'static str,
    columns: &'static [Column],
}

const ACQUIRE: Column = ("acquire p50 µs", "acquire_p50_us", 0);
const P99: Column = ("p99 µs", "acquire_p99_us", 0);
const CLIENT: Column = ("client µs/cycle", "cpu_client_us", 1);
const SERVER: Column = ("server µs/cycle", "cpu_server_us", 1);
const REDIS: Column = ("masters µs/cycle", "cpu_redis_us", 1);
const ERRORS: Column = ("errors", "errors", 0);
const IDLE: Column = ("other servers, cores", "cores_idle", 3);
const FOREIGN: Column = ("others, cores", "cores_foreign", 2);

const TABLES: [Table; 11] = [
    Table {
        title: "Own keys",
        point: "own",
        size: "workers",
        columns: &[
            ("cycles/s", "cycles_per_s", 0),
            ACQUIRE,
            P99,
            ("p99.9 µs", "acquire_p999_us", 0),
            CLIENT,
            SERVER,
            REDIS,
            ERRORS,
            IDLE,
            FOREIGN,
        ],
    },
    Table {
        title: "One contended key",
        point: "contended",
        size: "workers",
        columns: &[
            ("handovers/s", "cycles_per_s", 0),
            ("handover p50 µs", "handover_p50_us", 0),
            ("wait p50 µs", "acquire_p50_us", 0),
            P99,
            ("max µs", "acquire_max_us", 0),
            ("least served", "least_served", 0),
            ("most served", "most_served", 0),
            CLIENT,
            SERVER,
            REDIS,
            ERRORS,
        ],
    },
    Table {
        title: "Renewals",
        point: "renewals",
        size: "workers",
        columns: &[
            ("renewals/s", "cycles_per_s", 0),
            ("p50 µs", "acquire_p50_us", 0),
            P99,
            ("client µs", "cpu_client_us", 1),
            ("server µs", "cpu_server_us", 1),
            ("masters µs", "cpu_redis_us", 1),
            ERRORS,
        ],
    },
    Table {
        title: "The holder dies, somebody waits",
        point: "killed",
        size: "ttl s",
        columns: &[
            ("process killed: granted after ms", "process_killed_ms", 0),
            ("host gone: granted after ms", "host_gone_ms", 0),
        ],
    },
    Table {
        title: "One of five masters freezes under load",
        point: "frozen",
        size: "workers",
        columns: &[
            ("healthy cycles/s", "healthy_cycles_per_s", 0),
            ("frozen cycles/s", "frozen_cycles_per_s", 0),
            ("healthy p99 µs", "healthy_acquire_p99_us", 0),
            ("frozen p99 µs", "frozen_acquire_p99_us", 0),
            ("frozen max µs", "frozen_acquire_max_us", 0),
        ],
    },
    Table {
        title: "More masters, 64 workers",
        point: "masters",
        size: "masters",
        columns: &[("cycles/s", "cycles_per_s", 0), ACQUIRE, P99, CLIENT, SERVER, REDIS],
    },
    Table {
        title: "More replicas on the same cores, 64 workers",
        point: "replicas",
        size: "replicas",
        columns: &[("cycles/s", "cycles_per_s", 0), ACQUIRE, P99, CLIENT, SERVER, REDIS],
    },
    Table {
        title: "Watchers of one resource",
        point: "watchers",
        size: "watchers",
        columns: &[
            ("bytes each on the replica", "server_bytes_each", 0),
            ("replica while idle, cores", "cores_server", 4),
            ("new leader seen p50 ms", "seen_p50_ms", 1),
            ("p99 ms", "seen_p99_ms", 1),
            ("last ms", "seen_max_ms", 1),
        ],
    },
    Table {
        title: "Held locks, and cycles of 64 others beside them",
        point: "held",
        size: "held",
        columns: &[
            ("bytes each on the replica", "server_bytes_each", 0),
            ("bytes each on a master", "master_bytes_each", 0),
            ("cycles/s", "cycles_per_s", 0),
            ACQUIRE,
            P99,
            SERVER,
            REDIS,
        ],
    },
    Table {
        title: "Beside a hostile client, of what it is alone",
        point: "hostile",
        size: "workers",
        columns: &[
            ("cycles/s", "cycles_per_s_of_alone", 2),
            ("acquire p50", "acquire_p50_us_of_alone", 2),
            ("p99", "acquire_p99_us_of_alone", 2),
            ("p99 µs", "acquire_p99_us", 0),
            ERRORS,
            ("attempts/s", "attempts_per_s", 0),
            ("replica, cores", "cores_server", 2),
            ("masters, cores", "cores_redis", 2),
            ("attacker, cores", "cores_attacker", 2),
            FOREIGN,
        ],
    },
    Table {
        title: "Limits: five masters, nothing but SET NX PX",
        point: "limits",
        size: "commands under way per connection",
        columns: &[
            ("commands/s, all masters", "commands_per_s", 0),
            ("master µs/command", "cpu_redis_us", 2),
        ],
    },
];

pub(super) fn markdown(samples: &[Sample]) -> String {
    let mut text = String::new();
    for table in &TABLES {
        let rows = rows(samples, table.point);
        if !rows.is_empty() {
            // Writing to a string cannot fail.
            let _ = write(&mut text, samples, table, &rows);
        }
    }
    text
}

fn write(
    text: &mut String,
    samples: &[Sample],
    table: &Table,
    rows: &[(u64, String)],
) -> std::fmt::Result {
    let Table { title, point, size, columns } = table;
    // A column of nothing says nothing.
    let measured = |(_, name, _): &&Column| {
        samples.iter().any(|sample| sample.point == *point && sample.figures.contains_key(*name))
    };
    let columns: Vec<&Column> = columns.iter().filter(measured).collect();
    write!(text, "## {title}\n\n| system | {size} |")?;
    for (heading, ..) in &columns {
        write!(text, " {heading} |")?;
    }
    writeln!(text, "\n|---|---|{}", "---|".repeat(columns.len()))?;
    for (size, system) in rows {
        write!(text, "| {system} | {size} |")?;
        for (_, name, digits) in &columns {
            let spread = spread(samples, (point, system, *size, name));
            let cell = spread.map(|spread| cell(spread, *digits)).unwrap_or_default();
            write!(text, " {cell} |")?;
        }
        text.push('\n');
    }
    text.push('\n');
    Ok(())
}

/// The slices of a point by size, and by system in the order in which they were measured.
fn rows(samples: &[Sample], point: &str) -> Vec<(u64, String)> {
    let mut rows = Vec::new();
    for sample in samples.iter().filter(|sample| sample.point == point) {
        let row = (sample.size, sample.system.clone());
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows.sort_by_key(|(size, _)| *size);
    rows
}

/// The median, and from where to where the repetitions were.
fn cell(Spread { median, least, most }: Spread, digits: usize) -> String {
    let [median, least, most] = [median, least, most].map(|figure| format!("{figure:.digits$}"));
    if least == most { median } else { format!("{median} ({least}–{most})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::Point;
    use clap::ValueEnum;

    #[test]
    fn a_row_a_slice_and_no_empty_column() {
        let sample = |size, repetition, rate| Sample {
            point: "own".to_owned(),
            system: "rslock".to_owned(),
            size,
            repetition,
            figures: [("cycles_per_s".to_owned(), rate), ("errors".to_owned(), 0.0)].into(),
        };
        let samples = [sample(16, 1, 9.0), sample(1, 1, 3.0), sample(1, 2, 5.0)];
        let expected = "## Own keys\n\n| system | workers | cycles/s | errors |\n|---|---|---|---|\n\
                        | rslock | 1 | 4 (3–5) | 0 |\n| rslock | 16 | 9 | 0 |\n\n";
        assert_eq!(markdown(&samples), expected);
    }

    #[test]
    fn every_point_has_a_table() {
        for point in Point::value_variants() {
            assert!(TABLES.iter().any(|table| table.point == point.name()), "{point}");
        }
    }
}
