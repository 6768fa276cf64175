//! Where a server is and how to get there: TCP or a Unix socket, TLS, credentials.

use crate::config::Address;
use redis::RedisConnectionInfo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// One Redis endpoint, checked.
#[derive(Clone)]
pub struct Endpoint {
    address: Address,
    tls: Option<Encryption>,
    session: RedisConnectionInfo,
    /// For the whole handshake, and for the patience with a master that has stalled.
    pub connect_timeout: Duration,
}

#[derive(Clone)]
struct Encryption {
    connector: TlsConnector,
    /// The name the server must bear; `None`: its host.
    name: Option<ServerName<'static>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
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
        address: Address,
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
        let tls = tls.map(encryption).transpose()?;
        let session = session.set_skip_set_lib_name();
        let endpoint = Self { address, tls, session, connect_timeout };
        endpoint.server_name()?;
        Ok(endpoint)
    }

    /// The same way to another address.
    pub(super) fn at(&self, address: Address) -> Self {
        Self { address, ..self.clone() }
    }

    /// Where it is.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn session(&self) -> &RedisConnectionInfo {
        &self.session
    }

    pub(super) async fn open(&self) -> io::Result<Box<dyn Stream>> {
        let (host, port) = match &self.address {
            Address::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Address::Tcp { host, port } => (host.as_str(), *port),
        };
        let tcp = TcpStream::connect((host, port)).await?;
        tcp.set_nodelay(true)?;
        match (&self.tls, self.server_name()?) {
            (Some(tls), Some(name)) => Ok(Box::new(tls.connector.connect(name, tcp).await?)),
            _ => Ok(Box::new(tcp)),
        }
    }

    /// The name that the server's certificate must bear; `None`: it needs none.
    fn server_name(&self) -> io::Result<Option<ServerName<'static>>> {
        match (&self.tls, &self.address) {
            (None, _) | (_, Address::Unix(_)) => Ok(None),
            (Some(Encryption { name: Some(name), .. }), _) => Ok(Some(name.clone())),
            (Some(_), Address::Tcp { host, .. }) => {
                ServerName::try_from(host.clone()).map(Some).map_err(invalid)
            }
        }
    }
}

fn encryption(tls: &Tls) -> io::Result<Encryption> {
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
    let name = tls.server_name.clone().map(ServerName::try_from).transpose().map_err(invalid)?;
    Ok(Encryption { connector: TlsConnector::from(Arc::new(config)), name })
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
