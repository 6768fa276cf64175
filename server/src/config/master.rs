//! One master as configured: who it is, how to reach it, how long to wait for it.

use super::credentials::Credentials;
use super::environment::Variables;
use super::problem::Problems;
use super::raw::RawMaster;
use super::span::Span;
use super::tls::MasterTls;
use super::unit::{self, Primary, RedisUnit};
use super::url::{Address, MasterUrl, REDIS_PORT};
use std::ops::RangeInclusive;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const COMMAND_TIMEOUT: Duration = Duration::from_millis(100);
const TIMEOUT_BOUNDS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
/// Names stand in logs, metrics and answers.
const MAX_NAME_BYTES: usize = 255;

/// One vote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Master {
    /// Unique, and part of the fingerprint: what logs, metrics and answers call it.
    pub name: String,
    /// What it is.
    pub backend: Backend,
    /// A connection that is not there after so long is given up.
    pub connect_timeout: Duration,
    /// A command without an answer after so long is unknown.
    pub command_timeout: Duration,
}

/// What a master is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Backend {
    /// In this process, of `--dev`.
    Memory,
    /// An independent Redis server.
    Redis(RedisEndpoint),
    /// A Redis server and those that replace it.
    Unit(RedisUnit),
}

/// How to reach a Redis server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisEndpoint {
    /// Where it listens.
    pub address: Address,
    /// The number of its database.
    pub database: u32,
    /// `None`: no AUTH is sent.
    pub credentials: Option<Credentials>,
    /// `None`: plaintext.
    pub tls: Option<MasterTls>,
}

impl RedisEndpoint {
    /// The URL, without credentials.
    pub fn url(&self) -> String {
        let Self { address, database, .. } = self;
        match address {
            Address::Unix(path) => format!("unix://{}?db={database}", path.display()),
            Address::Tcp { .. } if self.tls.is_some() => format!("rediss://{address}/{database}"),
            Address::Tcp { .. } => format!("redis://{address}/{database}"),
        }
    }
}

impl Master {
    /// A master of `--dev`.
    pub(super) fn in_memory(name: String) -> Self {
        Self {
            name,
            backend: Backend::Memory,
            connect_timeout: CONNECT_TIMEOUT,
            command_timeout: COMMAND_TIMEOUT,
        }
    }

    /// The servers it may be at, as far as they are listed; Sentinels are not among them.
    pub(super) fn endpoints(&self) -> &[RedisEndpoint] {
        match &self.backend {
            Backend::Redis(endpoint) => std::slice::from_ref(endpoint),
            Backend::Unit(RedisUnit { primary: Primary::OneOf(endpoints), .. }) => endpoints,
            Backend::Memory | Backend::Unit(_) => &[],
        }
    }

    /// Every address that an error about it may name.
    pub fn addresses(&self) -> Vec<String> {
        let sentinels = match &self.backend {
            Backend::Unit(RedisUnit { primary: Primary::NamedBy(sentinels), .. }) => {
                &sentinels.endpoints[..]
            }
            _ => &[],
        };
        let all = self.endpoints().iter().chain(sentinels);
        all.map(|endpoint| endpoint.address.to_string()).collect()
    }

    /// Of a unit, how long its replica may be silent.
    pub fn max_lag(&self) -> Option<Duration> {
        match &self.backend {
            Backend::Unit(unit) => Some(unit.max_lag),
            Backend::Memory | Backend::Redis(_) => None,
        }
    }

    /// `None` if nobody can say where it is, which is a problem; the rest is looked at all the same.
    pub(super) fn parse(
        key: &str,
        mut raw: RawMaster,
        variables: &Variables,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut timeout = |field: &str, span, default| {
            Span::within(span, default, TIMEOUT_BOUNDS, &format!("{key}.{field}"), problems)
        };
        let connect_timeout = timeout("connect_timeout", raw.connect_timeout, CONNECT_TIMEOUT);
        let command_timeout = timeout("command_timeout", raw.command_timeout, COMMAND_TIMEOUT);
        let section = format!("{key}.tls");
        let tls = raw.tls.take().map(|tls| MasterTls::parse(&section, tls, problems));
        let (name, backend) = match unit::is_one(key, &raw, problems) {
            true => RedisUnit::parse(key, raw, tls, variables, problems)?,
            false => single(key, raw, tls, variables, problems)?,
        };
        Some(Self { name, backend, connect_timeout, command_timeout })
    }
}

fn single(
    key: &str,
    mut raw: RawMaster,
    tls: Option<MasterTls>,
    variables: &Variables,
    problems: &mut Problems,
) -> Option<(String, Backend)> {
    let url = url_of(key, raw.url.take(), problems)?;
    let name = name_of(key, raw.name.take(), || url.address.to_string(), problems);
    if tls.is_some() && !url.tls {
        problems.add(format!("{key}.tls"), "needs a url that starts with rediss://");
    }
    let MasterUrl { tls: encrypted, address, database, .. } = url;
    let of_url = (url.username, url.password);
    let variables = variables.of(&name);
    let credentials = Credentials::parse(key, &raw, of_url, variables, problems);
    let tls = encrypted.then(|| tls.unwrap_or_default());
    Some((name, Backend::Redis(RedisEndpoint { address, database, credentials, tls })))
}

fn url_of(key: &str, url: Option<String>, problems: &mut Problems) -> Option<MasterUrl> {
    let url_key = format!("{key}.url");
    let Some(url) = url else {
        if !problems.concern(&url_key) && !problems.concern_any_of(&format!("{key}.")) {
            problems.add(url_key, "is missing; it must be such as redis://10.0.0.1:6379");
        }
        return None;
    };
    MasterUrl::parse(&url, REDIS_PORT).map_err(|message| problems.add(url_key, message)).ok()
}

/// What is configured, or else what follows from the address.
pub(super) fn name_of(
    key: &str,
    name: Option<String>,
    address: impl FnOnce() -> String,
    problems: &mut Problems,
) -> String {
    let name = name.unwrap_or_else(address);
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ',' | ';' | '=');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(odd) {
        problems.add(
            format!("{key}.name"),
            format!("must be 1 to {MAX_NAME_BYTES} bytes without blanks, control characters , ; ="),
        );
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::file;

    fn endpoint(toml: &str) -> Result<RedisEndpoint, String> {
        let config = file(&format!("[[masters]]\n{toml}"))?;
        match &config.masters[0].backend {
            Backend::Redis(endpoint) => Ok(endpoint.clone()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let config = file("[[masters]]\nurl = 'redis://r1/2'").unwrap();
        let master = &config.masters[0];
        assert_eq!(master.name, "r1:6379");
        assert_eq!(master.connect_timeout, Duration::from_secs(1));
        assert_eq!(master.command_timeout, Duration::from_millis(100));
        let endpoint = endpoint("url = 'redis://r1/2'").unwrap();
        assert_eq!((endpoint.url().as_str(), endpoint.credentials), ("redis://r1:6379/2", None));
        assert_eq!(endpoint.tls, None);
    }

    #[test]
    fn tls_is_of_rediss_alone() {
        assert_eq!(endpoint("url = 'rediss://r1'").unwrap().tls, Some(MasterTls::default()));
        let named = endpoint("url = 'rediss://r1'\ntls.server_name = 'x'").unwrap();
        assert_eq!(named.url(), "rediss://r1:6379/0");
        assert_eq!(named.tls.unwrap().server_name.as_deref(), Some("x"));
    }

    #[test]
    fn odd_masters_are_refused() {
        let name =
            "masters[0].name: must be 1 to 255 bytes without blanks, control characters , ; =";
        for (toml, expected) in [
            ("url = 'redis://r1'\nname = 'a;b'", name),
            ("url = 'redis://r1'\nname = ''", name),
            (
                "url = 'redis://r1'\ncommand_timeout = '0s'",
                "masters[0].command_timeout: is 0s; it must be from 1ms to 60s",
            ),
            (
                "url = 'redis://r1'\nconnect_timeout = '2m'",
                "masters[0].connect_timeout: is 120s; it must be from 1ms to 60s",
            ),
            (
                "url = 'redis://r1'\ntls = {}",
                "masters[0].tls: needs a url that starts with rediss://",
            ),
        ] {
            let error = endpoint(toml).unwrap_err();
            assert_eq!(error, format!("{expected} (file FILE)"));
        }
    }
}
