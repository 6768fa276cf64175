//! The URL of a master: `redis://` or `rediss://`, `[user[:password]@]host[:port][/db]`.
//!
//! Deliberately absent: any error text that repeats the URL, for it may hold a password.

use super::secret::Secret;

const DEFAULT_PORT: u16 = 6379;

/// A URL, taken apart.
#[derive(Debug)]
pub(super) struct MasterUrl {
    pub(super) tls: bool,
    /// Lower case; an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: u32,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
}

impl MasterUrl {
    /// Takes a URL apart; the error says what is wrong with it.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        let (tls, rest) = match url.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            _ => return Err("must start with redis:// or rediss://"),
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
        let (host, port) = host_and_port(address)?;
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| {
                "must end after the port, or in / and the number of a database; \
                 a / or @ in a password is written %2F or %40"
            })?,
        };
        Ok(Self { tls, host, port, database, username, password })
    }
}

/// Does this host and port need brackets? `host:port` as a name and an identity.
pub(super) fn address_text(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn credentials(user: Option<&str>) -> Result<(Option<String>, Option<Secret>), &'static str> {
    let Some(user) = user else { return Ok((None, None)) };
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    let (username, password) = (decoded(username)?, decoded(password)?);
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok((given(username), given(password).map(Secret::new)))
}

fn host_and_port(address: &str) -> Result<(String, u16), &'static str> {
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
        None if port.is_empty() => DEFAULT_PORT,
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
            let MasterUrl { tls, host, port, database, username, password } =
                MasterUrl::parse(url).unwrap();
            let password = password.map(|secret| secret.expose().to_owned());
            (tls, address_text(&host, port), database, username, password)
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
            ("10.0.0.1:6379", "must start with redis:// or rediss://"),
            ("http://h", "must start with redis:// or rediss://"),
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
            assert_eq!(MasterUrl::parse(url).unwrap_err(), expected, "{url}");
        }
    }
}
