//! The rows: what is explored, in which bounds, and what must come out. A file a subject; `table`
//! says what a row is.

mod aged;
mod bad_clocks;
mod clock_steps;
mod loss;
mod quarantine;
mod reading;
mod revocation;
mod rolling;
mod sessions;
mod skew;
mod table;
mod timed;
mod token0;
mod units;
mod untimed;

pub(crate) use table::{Cost, Expect, Row};

/// Every row, in the order of the results.
pub(crate) fn all() -> Vec<Row> {
    let mut table = table::Table::new();
    untimed::rows(&mut table);
    timed::rows(&mut table);
    loss::rows(&mut table);
    aged::rows(&mut table);
    skew::rows(&mut table);
    bad_clocks::rows(&mut table);
    clock_steps::rows(&mut table);
    sessions::rows(&mut table);
    token0::rows(&mut table);
    reading::rows(&mut table);
    revocation::rows(&mut table);
    rolling::rows(&mut table);
    quarantine::rows(&mut table);
    units::rows(&mut table);
    table.into_rows()
}
