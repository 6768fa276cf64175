//! How many there are of each item: a SQLite file that all instances share.
//!
//! Each write compares the fencing token in the same statement, so that an instance which wakes up too
//! late changes nothing. `fenced_writes` says more about that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension};

use crate::problem::Problem;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS items (
    item TEXT PRIMARY KEY, count INTEGER NOT NULL, fence INTEGER NOT NULL)";
/// For the others who write; each takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(crate) struct Stock {
    path: PathBuf,
}

impl Stock {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let stock = Self { path: path.to_owned() };
        stock.connect()?.execute(TABLE, ())?;
        Ok(stock)
    }

    /// How many there are. From here on, nobody with a lower token can write.
    pub(crate) async fn claim(&self, item: &str, token: u64) -> Result<u32, Problem> {
        let item = item.to_owned();
        self.with(move |database| {
            let claim =
                "UPDATE items SET fence = ?2 WHERE item = ?1 AND fence <= ?2 RETURNING count";
            let claimed = database.query_row(claim, (&item, token), |row| row.get(0)).optional()?;
            match claimed {
                Some(count) => Ok(count),
                None => read(database, &item).and(Err(Problem::Late)),
            }
        })
        .await
    }

    /// How many there are from now on.
    pub(crate) async fn write(&self, item: &str, count: u32, token: u64) -> Result<(), Problem> {
        let item = item.to_owned();
        self.with(move |database| {
            let write = "INSERT INTO items (item, count, fence) VALUES (?1, ?2, ?3)
                ON CONFLICT (item) DO UPDATE SET count = ?2, fence = ?3 WHERE fence <= ?3";
            match database.execute(write, (item, count, token))? {
                0 => Err(Problem::Late),
                _ => Ok(()),
            }
        })
        .await
    }

    pub(crate) async fn read(&self, item: &str) -> Result<u32, Problem> {
        let item = item.to_owned();
        self.with(move |database| read(database, &item)).await
    }

    /// SQLite blocks, so it has a thread of its own.
    async fn with<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let stock = self.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&stock.connect()?)).await;
        asked.map_err(|error| Problem::Database(error.to_string()))?
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    }
}

fn read(database: &Connection, item: &str) -> Result<u32, Problem> {
    let count = "SELECT count FROM items WHERE item = ?1";
    database.query_row(count, [item], |row| row.get(0)).optional()?.ok_or(Problem::NoSuchItem)
}
