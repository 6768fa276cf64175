//! The store: a file that keeps the result of each day, and the token it was written with.
//!
//! What a database would do in one transaction is done here under the lock of the file: compare the token
//! with the highest one, and write.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

#[derive(Debug, Clone)]
pub(crate) struct Store {
    path: PathBuf,
}

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Written {
    Done,
    /// Somebody has written this day.
    Before,
    /// Somebody wrote with a higher token.
    Refused {
        newest: u64,
    },
}

impl Store {
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// How many days have their result.
    pub(crate) fn days(&self) -> Result<usize> {
        let (_, rows) = self.open()?;
        Ok(rows.lines().count())
    }

    /// Writes the result of a day, unless somebody wrote with a higher token.
    pub(crate) fn write(&self, day: usize, token: u64, name: &str) -> Result<Written> {
        let (mut file, rows) = self.open()?;
        let newest = rows.lines().map(token_of).collect::<Result<Vec<_>>>()?;
        let newest = newest.into_iter().max().unwrap_or(0);
        if token < newest {
            return Ok(Written::Refused { newest });
        }
        if day <= rows.lines().count() {
            return Ok(Written::Before);
        }
        // At once: a row is there as a whole or not at all, whoever dies or reads meanwhile.
        file.write_all(format!("{day} {token} {name}\n").as_bytes())?;
        file.sync_data()?;
        Ok(Written::Done)
    }

    /// Nobody else reads or writes it before the file is closed.
    fn open(&self) -> Result<(File, String)> {
        let mut file = File::options().read(true).append(true).create(true).open(&self.path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut rows = String::new();
        file.read_to_string(&mut rows)?;
        Ok((file, rows))
    }
}

fn token_of(row: &str) -> Result<u64> {
    let token = row.split(' ').nth(1).context("a row is: day token name")?;
    Ok(token.parse()?)
}
