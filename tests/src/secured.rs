//! A replica that speaks TLS and asks for a token, as a service meets it in production; on in-memory masters,
//! which are all that its clients' ways to it need.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;

use crate::certs::Certificates;
use crate::holdfastd::{Holdfastd, HoldfastdOptions};
use crate::tokens::new_token;

/// The replica, and what its clients need.
#[derive(Debug)]
pub struct Secured {
    /// The replica.
    pub replica: Holdfastd,
    /// Who signed its certificate.
    pub certificates: Certificates,
    /// A token that it knows.
    pub token: String,
    /// A file with the token.
    pub token_file: PathBuf,
    _folder: TempDir,
}

impl Secured {
    /// Starts it; its name is `localhost`.
    pub async fn start() -> Result<Secured> {
        let (certificates, folder) = (Certificates::generate("somebody")?, TempDir::new()?);
        let (token, entry) = new_token("reader").await?;
        let [tokens_file, token_file] =
            ["tokens.toml", "token"].map(|name| folder.path().join(name));
        fs::write(&tokens_file, entry)?;
        fs::write(&token_file, &token)?;
        let shown = certificates.server();
        let config = format!(
            "[grpc]\ntls = {{ cert = {:?}, key = {:?} }}\n[auth]\ntokens_file = {tokens_file:?}\n",
            shown.cert, shown.key
        );
        let options = HoldfastdOptions {
            args: vec!["--dev".to_owned()],
            config,
            client_tls: Some(certificates.grpc_client()?),
            ..HoldfastdOptions::default()
        };
        let replica = Holdfastd::start(options).await?;
        replica.wait_readyz(200, "").await?;
        Ok(Secured { replica, certificates, token, token_file, _folder: folder })
    }

    /// Its host and port, by the name in its certificate.
    pub fn address(&self) -> String {
        format!("localhost:{}", self.replica.grpc_address().port())
    }
}
