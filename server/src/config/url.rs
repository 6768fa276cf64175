//! The URL of a Redis server: `redis://` or `rediss://`, `[user[:password]@]host[:port][/db]`; or
//! `unix:///path[?db=n]`.
//!
//! Deliberately absent: any error text that repeats the URL, for it may hold a password.

use super::secret::Secret;
use std::fmt;
use std::path::PathBuf;

/// Where masters listen unless their URL says otherwise.
pub(super) const REDIS_PORT: u16 = 6379;
/// The same for Sentinels.
pub(super) const SENTINEL_PORT: u16 = 26_379;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Address {
    /// On the network.
    Tcp {
        /// Host name or IP address, lower case; IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// On this machine.
    Unix(PathBuf),
}

/// `host:port`, IPv6 in brackets; of a socket its path.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A URL, taken apart.
#[derive(Debug)]
pub(super) struct MasterUrl {
    pub(super) tls: bool,
    pub(super) address: Address,
    pub(super) database: u32,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
}

impl MasterUrl {
    /// Takes a URL apart; the error says what is wrong with it.
    pub(super) fn parse(url: &str, default_port: u16) -> Result<Self, &'static str> {
        let (tls, rest) = match url.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            Some(("unix" | "redis+unix", rest)) => return socket(rest),
            _ => return Err("must start with redis://, rediss:// or unix://"),
        };
        // A password with a bare / or @ in it ends up here in a host or database that is none.
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        if address.contains(['?', '#']) || database.contains(['?', '#']) {
            return Err(
                "must have no ? or # part; settings of the connection have keys of their own",
            );
        }
        let (username, password) = credentials(user)?;
        let (host, port) = host_and_port(address, default_port)?;
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| {
                "must end after the port, or in / and the number of a database; \
                 a / or @ in a password is written %2F or %40"
            })?,
        };
        Ok(Self { tls, address: Address::Tcp { host, port }, database, username, password })
    }
}

/// What follows `unix://`.
fn socket(rest: &str) -> Result<MasterUrl, &'static str> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, "db=0"));
    if !path.starts_with('/') || path.len() == 1 {
        return Err("must name a socket by its full path, such as unix:///run/redis/redis.sock");
    }
    let database = query.strip_prefix("db=").and_then(|number| number.parse().ok());
    let database = database.ok_or(
        "must end after the path of the socket, or in ?db= and the number of a database; \
         username and password have keys of their own",
    )?;
    let address = Address::Unix(PathBuf::from(decoded(path)?));
    Ok(MasterUrl { tls: false, address, database, username: None, password: None })
}

fn credentials(user: Option<&str>) -> Result<(Option<String>, Option<Secret>), &'static str> {
    let Some(user) = user else { return Ok((None, None)) };
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    let (username, password) = (decoded(username)?, decoded(password)?);
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok((given(username), given(password).map(Secret::new)))
}

fn host_and_port(address: &str, default_port: u16) -> Result<(String, u16), &'static str> {
    const HOST: &str = "must name a host, such as redis://10.0.0.1:6379";
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("has a [ without its ]")?;
            host.parse::<std::net::Ipv6Addr>()
                .map_err(|_| "has no IPv6 address between [ and ]")?;
            (host, port)
        }
        None => {
            let end = address.find(':').unwrap_or(address.len());
            let (host, port) = address.split_at(end);
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            if host.is_empty() || !host.chars().all(fits) {
                return Err(HOST);
            }
            (host, port)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port,
        None => return Err(HOST),
        Some(digits) => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err("must have a port from 1 to 65535 behind the host"),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "has a % in its credentials that begins no %XX; a % itself is written %25";
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or(WRONG)?;
        if !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(WRONG);
        }
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| WRONG)?);
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).map_err(|_| "has credentials that are not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let parts = |url: &str| {
            let MasterUrl { tls, address, database, username, password } =
                MasterUrl::parse(url, REDIS_PORT).unwrap();
            let password = password.map(|secret| secret.expose().to_owned());
            (tls, address.to_string(), database, username, password)
        };
        let text = |text: &str| Some(text.to_owned());
        for (url, expected) in [
            ("redis://r1", (false, "r1:6379".into(), 0, None, None)),
            ("rediss://R1.example:7000/3", (true, "r1.example:7000".into(), 3, None, None)),
            ("redis://[::1]:1/", (false, "[::1]:1".into(), 0, None, None)),
            ("redis://[::1]", (false, "[::1]:6379".into(), 0, None, None)),
            ("redis://u:p@h", (false, "h:6379".into(), 0, text("u"), text("p"))),
            ("redis://:p%40%2F%25@h", (false, "h:6379".into(), 0, None, text("p@/%"))),
            ("redis://u:p:q@r@h", (false, "h:6379".into(), 0, text("u"), text("p:q@r"))),
            ("redis://u@h", (false, "h:6379".into(), 0, text("u"), None)),
            ("unix:///run/r.sock", (false, "/run/r.sock".into(), 0, None, None)),
            ("redis+unix:///a%20b?db=2", (false, "/a b".into(), 2, None, None)),
        ] {
            assert_eq!(parts(url), expected, "{url}");
        }
    }

    #[test]
    fn odd_urls_are_refused_without_repeating_them() {
        let database = "must end after the port, or in / and the number of a database; \
                        a / or @ in a password is written %2F or %40";
        let host = "must name a host, such as redis://10.0.0.1:6379";
        let port = "must have a port from 1 to 65535 behind the host";
        let percent = "has a % in its credentials that begins no %XX; a % itself is written %25";
        for (url, expected) in [
            ("10.0.0.1:6379", "must start with redis://, rediss:// or unix://"),
            ("http://h", "must start with redis://, rediss:// or unix://"),
            (
                "unix://r.sock",
                "must name a socket by its full path, such as unix:///run/redis/redis.sock",
            ),
            (
                "unix:///r.sock?password=x",
                "must end after the path of the socket, or in ?db= and the number of a database; \
                 username and password have keys of their own",
            ),
            ("redis://", host),
            ("redis://:1", host),
            ("redis://a b", host),
            ("redis://[::1]x", host),
            ("redis://[::1", "has a [ without its ]"),
            ("redis://[h]", "has no IPv6 address between [ and ]"),
            ("redis://h:0", port),
            ("redis://h:65536", port),
            ("redis://h:", port),
            ("redis://h/x", database),
            ("redis://h/-1", database),
            (
                "redis://h?a=b",
                "must have no ? or # part; settings of the connection have keys of their own",
            ),
            ("redis://:%zz@h", percent),
            ("redis://:%+1@h", percent),
            ("redis://:%2@h", percent),
            ("redis://:%é@h", percent),
            ("redis://:%ff@h", "has credentials that are not UTF-8"),
        ] {
            assert_eq!(MasterUrl::parse(url, REDIS_PORT).unwrap_err(), expected, "{url}");
        }
    }
}
