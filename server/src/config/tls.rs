//! TLS as configured: which files. All are known to be readable; what is in them is the reader's business.

use super::problem::Problems;
use super::raw::RawMasterTls;
use std::fs::File;
use std::path::PathBuf;

/// A certificate and its key, PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// TLS towards a master.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MasterTls {
    /// Who may vouch for the master; `None`: the usual roots.
    pub ca: Option<PathBuf>,
    /// Who we are, if the master asks.
    pub identity: Option<Identity>,
    /// The name its certificate must bear; `None`: the host of the URL.
    pub server_name: Option<String>,
}

impl Identity {
    /// Both files or neither.
    pub(super) fn parse(
        section: &str,
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let cert = readable(format!("{section}.cert"), cert, problems);
        let key = readable(format!("{section}.key"), key, problems);
        match (cert, key) {
            (Some(cert), Some(key)) => Some(Self { cert, key }),
            (None, None) => None,
            (cert, _) => {
                let (given, missing) =
                    if cert.is_some() { ("cert", "key") } else { ("key", "cert") };
                let missing_key = format!("{section}.{missing}");
                problems.add(missing_key, format!("is missing; {given} is given and needs it"));
                None
            }
        }
    }
}

impl MasterTls {
    pub(super) fn parse(section: &str, raw: RawMasterTls, problems: &mut Problems) -> Self {
        if raw.server_name.as_deref() == Some("") {
            problems.add(format!("{section}.server_name"), "is empty; it must be a host name");
        }
        Self {
            ca: readable(format!("{section}.ca"), raw.ca, problems),
            identity: Identity::parse(section, raw.cert, raw.key, problems),
            server_name: raw.server_name,
        }
    }
}

/// The path, if it was given; a problem if no file can be read there.
pub(super) fn readable(
    key: String,
    path: Option<PathBuf>,
    problems: &mut Problems,
) -> Option<PathBuf> {
    let path = path?;
    if let Err(error) = File::open(&path) {
        problems.add(key, format!("{} cannot be read: {error}", path.display()));
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::read;

    fn parse(toml: &str) -> Result<MasterTls, String> {
        let mut problems = Problems::default();
        let tls = MasterTls::parse("masters[0].tls", read(toml)?, &mut problems);
        problems.or(tls).map_err(|errors| errors.to_string())
    }

    #[test]
    fn certificate_and_key_go_together() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let both = parse(&format!("cert = '{file}'\nkey = '{file}'")).unwrap();
        assert_eq!(both.identity, Some(Identity { cert: file.into(), key: file.into() }));
        assert_eq!(
            parse(&format!("cert = '{file}'")).unwrap_err(),
            "masters[0].tls.key: is missing; cert is given and needs it"
        );
        assert_eq!(
            parse(&format!("key = '{file}'")).unwrap_err(),
            "masters[0].tls.cert: is missing; key is given and needs it"
        );
        assert_eq!(parse("").unwrap(), MasterTls::default());
    }

    #[test]
    fn files_must_be_there() {
        let error = parse("ca = '/nowhere/ca.pem'").unwrap_err();
        assert!(
            error.starts_with("masters[0].tls.ca: /nowhere/ca.pem cannot be read: "),
            "{error}"
        );
        assert_eq!(
            parse("server_name = ''").unwrap_err(),
            "masters[0].tls.server_name: is empty; it must be a host name"
        );
    }
}
