//! What lets clients in, read from files before a port opens, and again while the server serves:
//! certificates, tokens, keys, the policy.

use crate::auth::Gate;
use crate::config::{Config, ConfigErrors, Problem};
use crate::grpc::Tls;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// The gate and the certificates. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who may do what.
    pub gate: Gate,
    /// `None`: plaintext.
    pub tls: Option<Tls>,
}

/// Of files.
pub type Kind = &'static str;

/// What a file held, without holding it.
pub type Print = Vec<Option<[u8; 32]>>;

impl Access {
    /// Reads all files; also returns what should be known of them.
    pub fn open(config: &Config) -> Result<(Self, Vec<String>), ConfigErrors> {
        let tls = config.grpc.tls.clone().map(Tls::open).transpose();
        let asks = config.grpc.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let gate = Gate::open(config.auth.clone(), asks);
        match (tls, gate) {
            (Ok(tls), Ok((gate, warnings))) => Ok((Self { gate, tls }, warnings)),
            (tls, gate) => {
                let problem = |key: &str, message: String| Problem { key: key.to_owned(), message };
                let tls = tls.err().map(|why| problem("grpc.tls", why));
                let gate = gate.err().map(|why| problem("auth", why));
                Err(ConfigErrors(tls.into_iter().chain(gate).collect()))
            }
        }
    }

    /// Reads all files again, and tells what came of each kind. The certificates are taken together or not
    /// at all, and so are tokens, keys and the policy.
    pub fn reload(&self) -> Vec<(Kind, Result<Vec<String>, String>)> {
        let certificates = self.tls.iter().map(|tls| {
            let read = tls.reload().map(|()| Vec::new());
            ("certificates", read)
        });
        let knows = self.gate.files().next().is_some();
        let known = knows.then(|| ("tokens, keys and policy", self.gate.reload()));
        certificates.chain(known).collect()
    }

    /// Tells whether any file has changed.
    pub fn print(&self) -> Print {
        let print =
            |path: &PathBuf| std::fs::read(path).ok().map(|text| Sha256::digest(text).into());
        self.files().iter().map(print).collect()
    }

    /// The files that are read.
    pub fn files(&self) -> Vec<PathBuf> {
        let certificates = self.tls.iter().flat_map(Tls::files);
        certificates.chain(self.gate.files()).map(Into::into).collect()
    }
}
