//! Fenced writes to Redis: a hash with the balance and the fence, and a script, because nothing else there
//! compares and writes in one step.
//!
//! Numbers in Lua are exact up to 2^53, and tokens stay below that. A fence is as durable as the data beside
//! it: a Redis that forgets its last second forgets the fence of that second too.

use anyhow::Result;
use redis::{Client, Script};

use crate::ACCOUNT;

/// KEYS: the hash. ARGV: the token, and the balance if there is one to write. Answers with the balance, or
/// with nothing if the token is too old.
const FENCED: &str = "
    local newest = tonumber(redis.call('HGET', KEYS[1], 'fence') or 0)
    if tonumber(ARGV[1]) < newest then
        return false
    end
    redis.call('HSET', KEYS[1], 'fence', ARGV[1])
    if ARGV[2] then
        redis.call('HSET', KEYS[1], 'balance', ARGV[2])
    end
    return tonumber(redis.call('HGET', KEYS[1], 'balance') or 0)";

#[derive(Debug)]
pub(crate) struct InRedis {
    client: Client,
    fenced: Script,
}

impl InRedis {
    pub(crate) fn open(url: &str) -> Result<Self> {
        Ok(Self { client: Client::open(url)?, fenced: Script::new(FENCED) })
    }

    /// Raises the fence and reads the balance. `None`: somebody has a higher token.
    pub(crate) fn claim(&self, token: u64) -> Result<Option<i64>> {
        let mut connection = self.client.get_connection()?;
        Ok(self.fenced.key(ACCOUNT).arg(token).invoke(&mut connection)?)
    }

    /// Whether it was taken.
    pub(crate) fn write(&self, token: u64, balance: i64) -> Result<bool> {
        let mut connection = self.client.get_connection()?;
        let written: Option<i64> =
            self.fenced.key(ACCOUNT).arg(token).arg(balance).invoke(&mut connection)?;
        Ok(written.is_some())
    }

    /// What is not to be done: it takes what anybody writes.
    pub(crate) fn write_without_fence(&self, balance: i64) -> Result<()> {
        let mut connection = self.client.get_connection()?;
        let key = format!("{ACCOUNT} without fence");
        Ok(redis::cmd("SET").arg(key).arg(balance).exec(&mut connection)?)
    }
}
