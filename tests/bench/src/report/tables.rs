//! The samples as tables of Markdown, a table a point.

use std::fmt::Write;

use super::summary::{Spread, figure};
use crate::sample::Sample;

/// A column: its heading, the figure, and how many digits follow the point.
type Column = (&'static str, &'static str, usize);

const OWN: [Column; 8] = [
    ("cycles/s", "cycles_per_s", 0),
    ("acquire p50 µs", "acquire_p50_us", 0),
    ("p99 µs", "acquire_p99_us", 0),
    ("p99.9 µs", "acquire_p999_us", 0),
    ("client µs/cycle", "cpu_client_us", 1),
    ("server µs/cycle", "cpu_server_us", 1),
    ("Redis µs/cycle", "cpu_redis_us", 1),
    ("errors", "errors", 0),
];

const CONTENDED: [Column; 8] = [
    ("handovers/s", "cycles_per_s", 0),
    ("handover p50 µs", "handover_p50_us", 0),
    ("wait p50 µs", "acquire_p50_us", 0),
    ("wait p99 µs", "acquire_p99_us", 0),
    ("wait max µs", "acquire_max_us", 0),
    ("least served", "least_served", 0),
    ("most served", "most_served", 0),
    ("errors", "errors", 0),
];

/// Title, point, what its size counts, and its columns.
const TABLES: [(&str, &str, &str, &[Column]); 2] = [
    ("Own keys", "own", "workers", &OWN),
    ("One contended key", "contended", "workers", &CONTENDED),
];

pub(super) fn markdown(samples: &[Sample]) -> String {
    let mut text = String::new();
    for (title, point, size, columns) in TABLES {
        let rows = rows(samples, point);
        if rows.is_empty() {
            continue;
        }
        let _ = write!(text, "## {title}\n\n| system | {size} |");
        columns.iter().for_each(|(heading, ..)| text.push_str(&format!(" {heading} |")));
        let _ = writeln!(text, "\n|---|---|{}", "---|".repeat(columns.len()));
        for (size, system) in rows {
            let _ = write!(text, "| {system} | {size} |");
            for (_, name, digits) in columns {
                let spread = figure(samples, (point, &system, size), name);
                let _ =
                    write!(text, " {} |", spread.map_or_else(String::new, |s| cell(s, *digits)));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
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
    if least == most {
        format!("{median:.digits$}")
    } else {
        format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}
