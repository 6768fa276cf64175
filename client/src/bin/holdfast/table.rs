//! Columns of text.

use std::fmt::{self, Write};

use crate::view::printable;

/// A heading and rows below it, in columns as wide as they must be.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
    /// Not shown if nothing stands in it.
    optional: Option<usize>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(heading: [&str; COLUMNS]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)], optional: None }
    }

    /// One in which nothing stands is left out, if this is its heading.
    pub(crate) fn but_empty(self, heading: &str) -> Self {
        let optional = self.rows[0].iter().position(|cell| cell == heading);
        Self { optional, ..self }
    }

    pub(crate) fn row(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row.map(|cell| printable(&cell)));
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| width(column).unwrap_or(0));
        let empty = |column: &usize| self.rows[1..].iter().all(|row| row[*column].is_empty());
        let left_out = self.optional.filter(empty);
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                if Some(column) != left_out {
                    write!(line, "{cell:width$}  ")?;
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
