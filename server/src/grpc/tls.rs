//! The server's certificates: read from their files, and read again when they change. A handshake takes
//! what is there at its moment; connections that are open keep what they began with.

use crate::auth::expiry_of;
use crate::config::GrpcTls;
use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// TLS towards clients. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: GrpcTls,
    current: ArcSwap<Current>,
}

/// What was read last.
struct Current {
    config: Arc<ServerConfig>,
    /// When the first certificate of the chain runs out, since the epoch.
    expires: Option<Duration>,
}

impl Tls {
    /// Reads the certificates.
    pub fn open(files: GrpcTls) -> Result<Self, String> {
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Self(Arc::new(Inner { files, current })))
    }

    /// Reads them again. If anything is wrong with them, those that were read before stay.
    pub fn reload(&self) -> Result<(), String> {
        self.0.current.store(Arc::new(read(&self.0.files)?));
        Ok(())
    }

    /// The files it reads.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let GrpcTls { identity, client_ca } = &self.0.files;
        [Some(&identity.cert), Some(&identity.key), client_ca.as_ref()]
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
    }

    /// Must clients show a certificate?
    pub fn asks(&self) -> bool {
        self.0.files.client_ca.is_some()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.current.load().config))
    }

    /// When the server's certificate runs out, since the epoch.
    pub fn expires(&self) -> Option<Duration> {
        self.0.current.load().expires
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("asks", &self.asks()).finish_non_exhaustive()
    }
}

fn read(files: &GrpcTls) -> Result<Current, String> {
    let chain = certificates(&files.identity.cert)?;
    let expires = chain.iter().filter_map(|certificate| expiry_of(certificate)).min();
    let key = &files.identity.key;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|why| told(key, &why))?;
    let builder = ServerConfig::builder();
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|why| told(path, &why))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.map_err(|why| told(path, &why))?)
        }
    };
    let cert = &files.identity.cert;
    let mut config = builder.with_single_cert(chain, key).map_err(|why| told(cert, &why))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if files.client_ca.is_some() {
        // Who resumes a session shows no certificate: it would outlive the one that was shown at first.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Current { config: Arc::new(config), expires })
}

/// All of a PEM file, and at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).map_err(|why| told(path, &why))?;
    let all = read.collect::<Result<Vec<_>, _>>().map_err(|why| told(path, &why))?;
    match all.is_empty() {
        true => Err(told(path, &"holds no certificate in PEM")),
        false => Ok(all),
    }
}

fn told(path: &Path, why: &dyn fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Identity;
    use rustls::ClientConfig;
    use std::path::PathBuf;
    use tokio_rustls::TlsConnector;

    /// A folder of its own, gone when the test is.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("holdfast-tls-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        /// Who somebody is that vouches for itself.
        fn identity(&self) -> Identity {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let write = |name: &str, text: String| {
                let path = self.0.join(name);
                std::fs::write(&path, text).unwrap();
                path
            };
            let cert = write("cert.pem", made.cert.pem());
            Identity { cert, key: write("key.pem", made.signing_key.serialize_pem()) }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_client_that_must_show_a_certificate_shows_it_at_each_handshake() {
        let folder = Folder::new("asks");
        let identity = folder.identity();
        let resumes = |client_ca| {
            let files = GrpcTls { identity: identity.clone(), client_ca };
            read(&files).unwrap().config.session_storage.can_cache()
        };
        assert!(resumes(None));
        assert!(!resumes(Some(identity.cert.clone())));
    }

    #[tokio::test]
    async fn clients_of_http_1_and_of_http_2_come_to_terms() {
        let folder = Folder::new("speaks");
        let identity = folder.identity();
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&identity.cert).unwrap().remove(0)).unwrap();
        let tls = Tls::open(GrpcTls { identity, client_ca: None }).unwrap();
        for offered in [&b"h2"[..], b"http/1.1"] {
            let config = ClientConfig::builder().with_root_certificates(roots.clone());
            let mut config = config.with_no_client_auth();
            config.alpn_protocols = vec![offered.to_vec()];
            let connector = TlsConnector::from(Arc::new(config));
            let (ours, theirs) = tokio::io::duplex(64 * 1_024);
            let name = "localhost".try_into().unwrap();
            let (client, server) =
                tokio::join!(connector.connect(name, theirs), tls.acceptor().accept(ours));
            assert_eq!(client.unwrap().get_ref().1.alpn_protocol(), Some(offered));
            server.unwrap();
        }
    }
}
