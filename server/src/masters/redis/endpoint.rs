//! Where a master is and how to get there: TCP, TLS, credentials.

use redis::RedisConnectionInfo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One Redis endpoint, checked.
#[derive(Clone)]
pub struct Endpoint {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    session: RedisConnectionInfo,
    /// For the whole handshake, and for the patience with a master that has stalled.
    pub connect_timeout: Duration,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("host", &self.host).field("port", &self.port).finish()
    }
}

/// TLS material, PEM. Without `ca` the system's roots are trusted.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates to trust.
    pub ca: Option<Vec<u8>>,
    /// The client's certificate chain and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name the server's certificate must carry, if it is not the host.
    pub server_name: Option<String>,
}

/// A byte stream, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Endpoint {
    /// An endpoint. Fails if the TLS material does not parse.
    pub fn new(
        (host, port): (&str, u16),
        (username, password): (Option<&str>, Option<&str>),
        database: i64,
        tls: Option<&Tls>,
        connect_timeout: Duration,
    ) -> io::Result<Self> {
        let mut session = RedisConnectionInfo::default().set_db(database);
        if let Some(username) = username {
            session = session.set_username(username);
        }
        if let Some(password) = password {
            session = session.set_password(password);
        }
        let tls = tls.map(|tls| connector(tls, host)).transpose()?;
        let session = session.set_skip_set_lib_name();
        Ok(Self { host: host.into(), port, tls, session, connect_timeout })
    }

    pub(super) fn session(&self) -> &RedisConnectionInfo {
        &self.session
    }

    pub(super) async fn open(&self) -> io::Result<Box<dyn Stream>> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), tcp).await?)),
        }
    }
}

fn connector(tls: &Tls, host: &str) -> io::Result<(TlsConnector, ServerName<'static>)> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.map_err(invalid)?).map_err(invalid)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(invalid("no certificate authority to trust"));
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>();
            let key = PrivateKeyDer::from_pem_slice(key).map_err(invalid)?;
            config.with_client_auth_cert(chain.map_err(invalid)?, key).map_err(invalid)?
        }
    };
    let name = tls.server_name.clone().unwrap_or_else(|| host.to_owned());
    let name = ServerName::try_from(name).map_err(invalid)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
