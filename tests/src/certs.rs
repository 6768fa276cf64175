//! A certificate authority for one test, and what it signs, as PEM files: Redis and holdfastd both want
//! paths.
//!
//! Certificates are valid from 1975 to 4096, so that a moved wall clock does not expire them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// An authority, one server certificate and one client certificate. Clones share the files.
#[derive(Debug, Clone)]
pub struct Certificates {
    directory: Arc<TempDir>,
}

/// A certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// PEM file of the certificate.
    pub cert: PathBuf,
    /// PEM file of the key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes all three. The server's names are `127.0.0.1`, `::1` and `localhost`; the client's common
    /// name is `client_name`.
    pub fn generate(client_name: &str) -> Result<Certificates> {
        let directory = TempDir::with_prefix("holdfast-certs-")?;

        let mut params = CertificateParams::default();
        let name = format!("authority of {client_name}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(directory.path().join("ca.pem"), authority.pem())?;

        let server = CertificateParams::new(["127.0.0.1", "::1", "localhost"].map(str::to_owned))?;
        let client = CertificateParams::default();
        for (file, name, usage, mut params) in [
            ("server", "localhost", ExtendedKeyUsagePurpose::ServerAuth, server),
            ("client", client_name, ExtendedKeyUsagePurpose::ClientAuth, client),
        ] {
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &authority)?;
            fs::write(directory.path().join(format!("{file}.pem")), certificate.pem())?;
            fs::write(directory.path().join(format!("{file}.key")), key.serialize_pem())?;
        }
        Ok(Certificates { directory: Arc::new(directory) })
    }

    /// PEM file of the authority.
    pub fn ca(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    /// What a server shows.
    pub fn server(&self) -> KeyFiles {
        self.key_files("server")
    }

    /// What a client shows.
    pub fn client(&self) -> KeyFiles {
        self.key_files("client")
    }

    /// What a gRPC client needs to trust the server and to show itself.
    pub fn grpc_client(&self) -> Result<ClientTlsConfig> {
        let files = self.client();
        let identity = Identity::from_pem(fs::read(files.cert)?, fs::read(files.key)?);
        Ok(self.grpc_client_anonymous()?.identity(identity))
    }

    /// The same without a client certificate.
    pub fn grpc_client_anonymous(&self) -> Result<ClientTlsConfig> {
        Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(self.ca())?)))
    }

    fn key_files(&self, name: &str) -> KeyFiles {
        let path = self.path();
        KeyFiles { cert: path.join(format!("{name}.pem")), key: path.join(format!("{name}.key")) }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}
