//! From the global options to clients of the service.

use std::path::Path;
use std::time::Duration;

use holdfast_client::{Certificate, Client, ClientBuilder, ClientTlsConfig, Identity, RetryPolicy};

use crate::args::Global;
use crate::exit::Failure;
use crate::values::Values;

pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7420";

/// How to get to the service: the global options, read.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    servers: Vec<String>,
    tls: Option<ClientTlsConfig>,
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
        let timeout = values.some_span("--timeout", global.timeout.as_deref());
        Self { servers, tls, timeout }
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
        match &self.tls {
            Some(tls) => Client::builder().tls(tls.clone()),
            None => Client::builder(),
        }
    }
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
