//! What stands in a certificate: the name of a client, and when it runs out. That somebody trusted signed it,
//! TLS has seen to.

use super::identity::Identity;
use std::time::Duration;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The first URI it may be used for (SPIFFE), else the first DNS name, else its common name.
pub fn identity_of(der: &[u8]) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    let uri = names.clone().find_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let dns = names.clone().find_map(|name| match name {
        GeneralName::DNSName(dns) => Some(*dns),
        _ => None,
    });
    let common = certificate.subject().iter_common_name().find_map(|name| name.as_str().ok());
    Identity::of_certificate(uri.or(dns).or(common)?)
}

/// When it runs out, since the epoch.
pub fn expiry_of(der: &[u8]) -> Option<Duration> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let seconds = certificate.validity().not_after.timestamp();
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn name_in(uri: Option<&str>, dns: Option<&str>, common: Option<&str>) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.subject_alt_names.extend(dns.map(|dns| SanType::DnsName(dns.try_into().unwrap())));
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        identity_of(certificate.der()).map(|identity| identity.name().to_string())
    }

    #[test]
    fn the_most_exact_name_counts() {
        let spiffe = "spiffe://a/ns/b/sa/c";
        for (uri, dns, common, expected) in [
            (Some(spiffe), Some("b.svc"), Some("c"), Some("cert:spiffe://a/ns/b/sa/c")),
            (None, Some("b.svc"), Some("c"), Some("cert:b.svc")),
            (None, None, Some("c"), Some("cert:c")),
            (None, None, None, None),
        ] {
            assert_eq!(name_in(uri, dns, common).as_deref(), expected);
        }
        assert_eq!(identity_of(b"none"), None);
    }

    #[test]
    fn it_runs_out_when_it_says() {
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(expiry_of(certificate.der()), Some(Duration::from_secs(1_893_456_000)));
        assert_eq!(expiry_of(b"none"), None);
    }
}
