//! A replicated unit as configured: one vote, of whichever process is the primary. The primary is found
//! among listed endpoints, or asked of Sentinels.

use super::credentials::Credentials;
use super::environment::{MasterVariables, Variables};
use super::master::{Backend, RedisEndpoint, name_of};
use super::problem::Problems;
use super::raw::{RawMaster, RawSentinel};
use super::span::Span;
use super::tls::MasterTls;
use super::url::{Address, MasterUrl, REDIS_PORT, SENTINEL_PORT};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Redis's own default of min-replicas-max-lag.
const MAX_LAG: Duration = Duration::from_secs(10);
/// A heartbeat is known to be acknowledged after some two seconds.
const MAX_LAG_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(60);

/// A Redis server and those that replace it: one vote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisUnit {
    /// How to find the one that is the primary now.
    pub primary: Primary,
    /// L of the protocol: a heartbeat this old must have been acknowledged by the replicas.
    pub max_lag: Duration,
}

/// Who the primary is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Primary {
    /// The one of these that says so.
    OneOf(Vec<RedisEndpoint>),
    /// The one that Sentinels name.
    NamedBy(Sentinels),
}

/// Sentinels, and what they do not say of the servers they watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sentinels {
    /// Where they are.
    pub endpoints: Vec<RedisEndpoint>,
    /// What they call the unit.
    pub name: String,
    /// The number of the database.
    pub database: u32,
    /// Towards the servers.
    pub credentials: Option<Credentials>,
    /// Towards the servers; `None`: plaintext.
    pub tls: Option<MasterTls>,
}

impl Sentinels {
    /// How to get to a server, wherever they say that it is.
    pub fn server(&self) -> RedisEndpoint {
        let Self { database, credentials, tls, .. } = self;
        let nowhere = Address::Tcp { host: "sentinel".to_owned(), port: SENTINEL_PORT };
        let (credentials, tls) = (credentials.clone(), tls.clone());
        RedisEndpoint { address: nowhere, database: *database, credentials, tls }
    }
}

/// Does the table describe a unit? What it has besides is a problem.
pub(super) fn is_one(key: &str, raw: &RawMaster, problems: &mut Problems) -> bool {
    let places = [
        ("url", raw.url.is_some()),
        ("endpoints", raw.endpoints.is_some()),
        ("sentinel", raw.sentinel.is_some()),
    ];
    let given: Vec<&str> =
        places.into_iter().filter_map(|(place, given)| given.then_some(place)).collect();
    if let [first, .., last] = given[..] {
        let message =
            format!("is given beside {first}; a master has one of url, endpoints, sentinel");
        problems.add(format!("{key}.{last}"), message);
    }
    let unit = raw.endpoints.is_some() || raw.sentinel.is_some();
    if raw.max_lag.is_some() && !unit {
        problems.add(
            format!("{key}.max_lag"),
            "is of a replicated unit, which has endpoints or sentinel in place of url",
        );
    }
    unit
}

impl RedisUnit {
    /// Its name, and what it is.
    pub(super) fn parse(
        key: &str,
        mut raw: RawMaster,
        tls: Option<MasterTls>,
        variables: &Variables,
        problems: &mut Problems,
    ) -> Option<(String, Backend)> {
        let lag_key = format!("{key}.max_lag");
        let max_lag = Span::within(raw.max_lag, MAX_LAG, MAX_LAG_BOUNDS, &lag_key, problems);
        let (name, primary) = match (raw.endpoints.take(), raw.sentinel.take()) {
            (Some(urls), _) => listed(key, &urls, raw, tls, variables, problems)?,
            (None, Some(sentinel)) => named(key, sentinel, raw, tls, variables, problems)?,
            (None, None) => return None,
        };
        Some((name, Backend::Unit(Self { primary, max_lag })))
    }
}

fn listed(
    key: &str,
    urls: &[String],
    mut raw: RawMaster,
    tls: Option<MasterTls>,
    variables: &Variables,
    problems: &mut Problems,
) -> Option<(String, Primary)> {
    let key_of_urls = format!("{key}.endpoints");
    let urls = urls_of(&key_of_urls, urls, REDIS_PORT, problems)?;
    let name = name_of(key, raw.name.take(), || urls[0].address.to_string(), problems);
    let (encrypted, database) = (urls[0].tls, urls[0].database);
    if urls.iter().any(|url| (url.tls, url.database) != (encrypted, database)) {
        let message = "must be alike but for their addresses: with TLS or without, one database";
        problems.add(key_of_urls, message);
    }
    if tls.is_some() && !encrypted {
        problems.add(format!("{key}.tls"), "needs endpoints that start with rediss://");
    }
    let credentials = Credentials::parse(key, &raw, (None, None), variables.of(&name), problems);
    let tls = encrypted.then(|| tls.unwrap_or_default());
    let endpoint = |url: MasterUrl| RedisEndpoint {
        address: url.address,
        database,
        credentials: credentials.clone(),
        tls: tls.clone(),
    };
    Some((name, Primary::OneOf(urls.into_iter().map(endpoint).collect())))
}

fn named(
    key: &str,
    sentinel: RawSentinel,
    mut raw: RawMaster,
    tls: Option<MasterTls>,
    variables: &Variables,
    problems: &mut Problems,
) -> Option<(String, Primary)> {
    let section = format!("{key}.sentinel");
    let called = sentinel.name.clone().unwrap_or_default();
    if called.is_empty() || called.contains(|c: char| c.is_control() || c.is_whitespace()) {
        let message = "must be what the Sentinels call the unit, such as mymaster";
        problems.add(format!("{section}.name"), message);
    }
    let database = sentinel.database.map_or(0, |database| database.0);
    let database = u32::try_from(database).unwrap_or_else(|_| {
        problems.add(format!("{section}.database"), "must be the number of a database");
        0
    });
    let key_of_urls = format!("{section}.urls");
    let urls = sentinel.urls.as_deref().unwrap_or_default();
    let urls = urls_of(&key_of_urls, urls, SENTINEL_PORT, problems)?;
    if urls.iter().any(|url| url.database != 0) {
        problems.add(key_of_urls, "must not name a database; sentinel.database is the servers'");
    }
    if called.is_empty() {
        return None;
    }
    let name = name_of(key, raw.name.take(), || called.clone(), problems);
    // Who asks Sentinels by TLS does not mean to send the servers a password without it.
    let tls = tls.or_else(|| urls.iter().any(|url| url.tls).then(MasterTls::default));
    let none = (None, None);
    let own = Credentials::parse(&section, &sentinel, none, MasterVariables::default(), problems);
    let endpoint = |url: MasterUrl| RedisEndpoint {
        address: url.address,
        database: 0,
        credentials: own.clone(),
        // Whoever vouches for the servers vouches for the Sentinels.
        tls: url.tls.then(|| tls.clone().unwrap_or_default()),
    };
    let endpoints = urls.into_iter().map(endpoint).collect();
    let credentials = Credentials::parse(key, &raw, (None, None), variables.of(&name), problems);
    let sentinels = Sentinels { endpoints, name: called, database, credentials, tls };
    Some((name, Primary::NamedBy(sentinels)))
}

/// At least one, none with credentials: those of a unit are given once.
fn urls_of(
    key: &str,
    urls: &[String],
    default_port: u16,
    problems: &mut Problems,
) -> Option<Vec<MasterUrl>> {
    if urls.is_empty() {
        let example = format!("must be a list such as [\"redis://10.0.0.1:{default_port}\"]");
        problems.add(key, example);
        return None;
    }
    let mut parsed = Vec::with_capacity(urls.len());
    for (index, url) in urls.iter().enumerate() {
        let key = format!("{key}[{index}]");
        match MasterUrl::parse(url, default_port) {
            Err(message) => problems.add(key, message),
            Ok(url) if url.username.is_some() || url.password.is_some() => {
                let message = "must have no credentials; username and password have keys of their \
                               own, and are the same for all";
                problems.add(key, message);
            }
            Ok(url) => parsed.push(url),
        }
    }
    (parsed.len() == urls.len()).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::file;

    fn unit(toml: &str) -> Result<(String, RedisUnit), String> {
        let config = file(&format!("[[masters]]\n{toml}"))?;
        match &config.masters[0].backend {
            Backend::Unit(unit) => Ok((config.masters[0].name.clone(), unit.clone())),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn endpoints_are_one_vote() {
        let (name, unit) = unit(
            "endpoints = ['rediss://a:1/2', 'rediss://b/2']\nusername = 'u'\npassword = 'p'\n\
             max_lag = '5s'",
        )
        .unwrap();
        assert_eq!((name.as_str(), unit.max_lag), ("a:1", Duration::from_secs(5)));
        let Primary::OneOf(endpoints) = unit.primary else { panic!("{unit:?}") };
        let urls: Vec<String> = endpoints.iter().map(RedisEndpoint::url).collect();
        assert_eq!(urls, ["rediss://a:1/2", "rediss://b:6379/2"]);
        assert!(endpoints.iter().all(|it| it.credentials.is_some() && it.tls.is_some()));
    }

    #[test]
    fn sentinels_name_the_servers() {
        let (name, unit) = unit(
            "sentinel = { urls = ['redis://s1', 'redis://s2:1'], name = 'm', database = 3 }\n\
             tls = {}",
        )
        .unwrap();
        assert_eq!((name.as_str(), unit.max_lag), ("m", MAX_LAG));
        let Primary::NamedBy(sentinels) = unit.primary else { panic!("{unit:?}") };
        let urls: Vec<String> = sentinels.endpoints.iter().map(RedisEndpoint::url).collect();
        assert_eq!(urls, ["redis://s1:26379/0", "redis://s2:1/0"]);
        assert_eq!((sentinels.database, sentinels.tls.is_some()), (3, true));
    }

    #[test]
    fn servers_are_reached_by_tls_if_their_sentinels_are() {
        for (urls, encrypted) in [("'rediss://s'", true), ("'redis://s'", false)] {
            let (_, unit) = unit(&format!("sentinel = {{ urls = [{urls}], name = 'm' }}")).unwrap();
            let Primary::NamedBy(sentinels) = unit.primary else { panic!("{unit:?}") };
            assert_eq!(sentinels.server().tls.is_some(), encrypted);
        }
    }

    #[test]
    fn odd_units_are_refused() {
        for (toml, expected) in [
            ("endpoints = []", "endpoints: must be a list such as [\"redis://10.0.0.1:6379\"]"),
            (
                "endpoints = ['redis://u:p@a']",
                "endpoints[0]: must have no credentials; username and password have keys of their \
                 own, and are the same for all",
            ),
            (
                "endpoints = ['redis://a', 'redis://b/1']",
                "endpoints: must be alike but for their addresses: with TLS or without, one database",
            ),
            (
                "endpoints = ['redis://a']\ntls = {}",
                "tls: needs endpoints that start with rediss://",
            ),
            (
                "endpoints = ['redis://a']\nmax_lag = '1s'",
                "max_lag: is 1s; it must be from 5s to 60s",
            ),
            (
                "url = 'redis://a'\nendpoints = ['redis://b']",
                "endpoints: is given beside url; a master has one of url, endpoints, sentinel",
            ),
            (
                "url = 'redis://a'\nmax_lag = '5s'",
                "max_lag: is of a replicated unit, which has endpoints or sentinel in place of url",
            ),
            (
                "sentinel = { urls = [], name = 'm' }",
                "sentinel.urls: must be a list such as [\"redis://10.0.0.1:26379\"]",
            ),
            (
                "sentinel = { urls = ['redis://s'] }",
                "sentinel.name: must be what the Sentinels call the unit, such as mymaster",
            ),
            (
                "sentinel = { urls = ['redis://s/1'], name = 'm' }",
                "sentinel.urls: must not name a database; sentinel.database is the servers'",
            ),
        ] {
            assert_eq!(unit(toml).unwrap_err(), format!("masters[0].{expected} (file FILE)"));
        }
    }

    #[test]
    fn no_process_is_in_two_votes() {
        let text =
            "[[masters]]\nurl = 'redis://a'\n[[masters]]\nendpoints = ['redis://b', 'redis://a']";
        let error = file(text).unwrap_err();
        assert!(
            error.starts_with("masters[1].endpoints: a:6379 is masters[0] already;"),
            "{error}"
        );
    }
}
