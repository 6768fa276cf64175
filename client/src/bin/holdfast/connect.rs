//! From the global options to clients of the service.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_client::{
    Certificate, Client, ClientBuilder, ClientTlsConfig, Error, Identity, RetryPolicy,
};
use serde::Serialize;
use tonic::transport::Uri;

use crate::args::Global;
use crate::exit::Failure;
use crate::secret::{Secret, TOKEN};
use crate::values::Values;

pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7420";

/// How to get to the service: the global options, read.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    servers: Vec<String>,
    tls: Option<ClientTlsConfig>,
    token: Option<Token>,
    timeout: Option<Duration>,
}

impl Connection {
    /// Reads the global options.
    pub(crate) fn read(global: &Global, values: &mut Values) -> Self {
        // An empty variable, as scripts set it, is as good as none.
        let servers = global.servers.iter().map(|server| server.trim().to_owned());
        let mut servers: Vec<_> = servers.filter(|server| !server.is_empty()).collect();
        if servers.is_empty() {
            servers.push(DEFAULT_SERVER.to_owned());
        }
        for server in &servers {
            if let Err(why) = check(server) {
                values.refuse("--server", &format!("{server:?} {why}"));
            }
        }
        let tls = tls(global, values);
        let token = token(global, values);
        let timeout = values.some_span("--timeout", global.timeout.as_deref());
        Self { servers, tls, token, timeout }
    }

    /// A client of all servers.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let retry = self.timeout.map_or_else(RetryPolicy::default, retry_for);
        Ok(self.builder().addresses(&self.servers).retry(retry).build()?)
    }

    /// A client of each server, for what is asked of each one; once, unless there is a `--timeout`.
    pub(crate) fn each(&self) -> Result<Vec<(String, Client)>, Failure> {
        let retry = self.timeout.map_or_else(RetryPolicy::none, retry_for);
        let client = |server: &String| {
            let client = self.builder().address(server).retry(retry).build()?;
            Ok((server.clone(), client))
        };
        self.servers.iter().map(client).collect()
    }

    fn builder(&self) -> ClientBuilder {
        let builder = Client::builder();
        let builder = match &self.tls {
            Some(tls) => builder.tls(tls.clone()),
            None => builder,
        };
        match &self.token {
            Some(token) => token.give(builder),
            None => builder,
        }
    }
}

/// Where the bearer token is.
#[derive(Debug, Clone)]
enum Token {
    File(PathBuf),
    Environment(Secret),
}

impl Token {
    fn of(global: &Global) -> Option<Self> {
        let file = global.token_file.clone().filter(|path| !path.as_os_str().is_empty());
        file.map(Self::File).or_else(|| global.token.clone().map(Self::Environment))
    }

    fn give(&self, builder: ClientBuilder) -> ClientBuilder {
        match self {
            Self::File(path) => builder.token_file(path),
            Self::Environment(token) => builder.token(token.expose()),
        }
    }
}

/// A token that anybody on the way can read.
#[derive(Debug, Serialize)]
pub(crate) struct InClear {
    warning: String,
}

impl InClear {
    /// `None`: no server gets one in clear over a network.
    pub(crate) fn of(global: &Global) -> Option<Self> {
        Token::of(global)?;
        let exposed = |server: &&String| is_exposed(server);
        let servers: Vec<_> = global.servers.iter().filter(exposed).map(String::as_str).collect();
        let warning = format!(
            "the token is sent in clear to {}: whoever is on the way can use it; https:// keeps it",
            servers.join(", ")
        );
        Some(Self { warning }).filter(|_| !servers.is_empty())
    }
}

impl fmt::Display for InClear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.warning)
    }
}

/// It leaves this machine, and is not encrypted.
fn is_exposed(server: &str) -> bool {
    let Ok(uri) = server.trim().parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    uri.scheme_str() == Some("http") && !local
}

/// A service that says nothing at all must not take longer than the user has.
fn retry_for(give_up_after: Duration) -> RetryPolicy {
    let usual = RetryPolicy::default();
    let attempt_timeout = match give_up_after {
        Duration::ZERO => usual.attempt_timeout,
        limit => usual.attempt_timeout.min(limit),
    };
    RetryPolicy { give_up_after, attempt_timeout, ..usual }
}

fn check(server: &str) -> Result<(), String> {
    // The client knows best; it tells of one address at a time.
    let one = Client::builder().address(server).build();
    match one {
        Ok(_) => Ok(()),
        Err(_) if !server.contains("://") => {
            Err(format!("is not http://host:port or https://host:port, such as http://{server}"))
        }
        Err(_) => Err("is not http://host:port or https://host:port".to_owned()),
    }
}

fn token(global: &Global, values: &mut Values) -> Option<Token> {
    let token = Token::of(global)?;
    // The client knows best.
    let one = token.give(Client::builder().address(DEFAULT_SERVER)).build();
    if let Err(Error::Invalid(violations)) = one {
        let field = match token {
            Token::File(_) => "--token-file",
            Token::Environment(_) => TOKEN,
        };
        violations.iter().for_each(|bad| values.refuse(field, &bad.description));
    }
    Some(token)
}

fn tls(global: &Global, values: &mut Values) -> Option<ClientTlsConfig> {
    let Global { ca, cert, key, .. } = global;
    if ca.is_none() && cert.is_none() && key.is_none() {
        return None;
    }
    let mut tls = ClientTlsConfig::new();
    tls = match ca {
        Some(ca) => tls.ca_certificate(Certificate::from_pem(pem("--ca", ca, values))),
        None => tls.with_native_roots(),
    };
    match (cert, key) {
        (Some(cert), Some(key)) => {
            let cert = pem("--cert", cert, values);
            tls = tls.identity(Identity::from_pem(cert, pem("--key", key, values)));
        }
        (None, None) => {}
        (Some(_), None) => values.refuse("--key", "is needed with --cert"),
        (None, Some(_)) => values.refuse("--cert", "is needed with --key"),
    }
    Some(tls)
}

fn pem(field: &str, path: &Path, values: &mut Values) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| {
        values.refuse(field, &format!("{} cannot be read: {error}", path.display()));
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_this_machine_in_clear_is_told() {
        for local in [
            "http://127.0.0.1:7420",
            "http://127.9.9.9:1",
            "http://[::1]:7420",
            "http://LocalHost:1",
        ] {
            assert!(!is_exposed(local), "{local}");
        }
        for encrypted in ["https://10.0.0.1:7420", "https://holdfast:7420"] {
            assert!(!is_exposed(encrypted), "{encrypted}");
        }
        for exposed in ["http://10.0.0.1:7420", " http://holdfast:7420", "http://[fe80::1]:7420"] {
            assert!(is_exposed(exposed), "{exposed}");
        }
    }
}
