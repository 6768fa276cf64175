//! Fenced writes to SQL.
//!
//! SQLite here. PostgreSQL takes the same statements with `$1` in place of `?1` and `BIGINT` for the fence
//! (tokens are below 2^53), `INSERT … ON CONFLICT DO NOTHING` for the first row. At its default level, READ
//! COMMITTED, an UPDATE that waited for another transaction looks at its `WHERE` again, so it sees the newest
//! fence. At REPEATABLE READ and above it ends with the error 40001 in that case: roll back and repeat it,
//! which says whether the token is too old. At no level is a `SELECT` of the fence followed by an `UPDATE`
//! without the condition as good, unless it is `SELECT … FOR UPDATE` in the same transaction.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension};

use crate::ACCOUNT;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS accounts (
    account TEXT PRIMARY KEY, balance INTEGER NOT NULL, fence INTEGER NOT NULL)";
const FIRST_ROW: &str =
    "INSERT INTO accounts (account, balance, fence) VALUES (?1, 0, 0) ON CONFLICT DO NOTHING";
const CLAIM: &str =
    "UPDATE accounts SET fence = ?2 WHERE account = ?1 AND fence <= ?2 RETURNING balance";
const WRITE: &str =
    "UPDATE accounts SET balance = ?3, fence = ?2 WHERE account = ?1 AND fence <= ?2";
/// For the others who write; each takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct InSql {
    connection: Mutex<Connection>,
}

impl InSql {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.execute(TABLE, ())?;
        connection.execute(FIRST_ROW, [ACCOUNT])?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Raises the fence and reads the balance. `None`: somebody has a higher token.
    pub(crate) fn claim(&self, token: u64) -> Result<Option<i64>> {
        let claimed = self.connection().query_row(CLAIM, (ACCOUNT, token), |row| row.get(0));
        Ok(claimed.optional()?)
    }

    /// Whether it was taken.
    pub(crate) fn write(&self, token: u64, balance: i64) -> Result<bool> {
        Ok(self.connection().execute(WRITE, (ACCOUNT, token, balance))? == 1)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
