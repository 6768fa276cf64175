//! Where the server listens: sections `[grpc]` and `[admin]`.

use super::problem::Problems;
use super::raw::{RawAdmin, RawGrpc, RawGrpcTls};
use super::span::Span;
use super::tls::{Identity, readable};
use super::web_origin::WebOrigin;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

const GRPC_LISTEN: SocketAddr = loopback(7420);
const ADMIN_LISTEN: SocketAddr = loopback(7421);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Whatever stops us has lost patience by then.
const MAX_DRAIN_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// The gRPC side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grpc {
    /// Where it listens.
    pub listen: SocketAddr,
    /// `None`: plaintext.
    pub tls: Option<GrpcTls>,
    /// How long streams may take to end when the server stops.
    pub drain_timeout: Duration,
    /// The origins whose web pages may call over gRPC-Web, besides the one that the server is called by.
    pub web_origins: Vec<WebOrigin>,
}

/// TLS towards clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrpcTls {
    /// Who we are.
    pub identity: Identity,
    /// Who may vouch for clients; given, they must show a certificate.
    pub client_ca: Option<PathBuf>,
}

/// The HTTP side for operators and probes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
}

impl Grpc {
    pub(super) fn parse(raw: RawGrpc, problems: &mut Problems) -> Self {
        let bounds = Duration::ZERO..=MAX_DRAIN_TIMEOUT;
        let key = "grpc.drain_timeout";
        Self {
            listen: address("grpc.listen", raw.listen, GRPC_LISTEN, problems),
            tls: raw.tls.and_then(|tls| GrpcTls::parse(tls, problems)),
            drain_timeout: Span::within(raw.drain_timeout, DRAIN_TIMEOUT, bounds, key, problems),
            web_origins: WebOrigin::parse_all(
                raw.web_origins.map(|texts| texts.0).unwrap_or_default(),
                problems,
            ),
        }
    }
}

impl GrpcTls {
    fn parse(raw: RawGrpcTls, problems: &mut Problems) -> Option<Self> {
        let client_ca = readable("grpc.tls.client_ca".into(), raw.client_ca, problems);
        let neither = raw.cert.is_none() && raw.key.is_none();
        if neither && !problems.concern_any_of("grpc.tls") {
            problems.add("grpc.tls", "must have cert and key, the server's certificate");
        }
        let identity = Identity::parse("grpc.tls", raw.cert, raw.key, problems)?;
        Some(Self { identity, client_ca })
    }
}

impl Admin {
    pub(super) fn parse(raw: RawAdmin, grpc: &Grpc, problems: &mut Problems) -> Self {
        let listen = address("admin.listen", raw.listen, ADMIN_LISTEN, problems);
        let known = !problems.concern("admin.listen") && !problems.concern("grpc.listen");
        if known && listen == grpc.listen && listen.port() != 0 {
            problems.add(
                "admin.listen",
                format!("is {listen}, where gRPC listens; it must be another port"),
            );
        }
        Self { listen }
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn address(
    key: &str,
    text: Option<String>,
    default: SocketAddr,
    problems: &mut Problems,
) -> SocketAddr {
    let Some(text) = text else { return default };
    text.parse().unwrap_or_else(|_| {
        problems.add(
            key,
            format!(
                "\"{text}\" is no address; it must be an IP address and a port, such as {default} \
                 or 0.0.0.0:{}",
                default.port()
            ),
        );
        default
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::read;

    fn parse(grpc: &str, admin: &str) -> Result<(Grpc, Admin), String> {
        let mut problems = Problems::default();
        let grpc = Grpc::parse(read(grpc)?, &mut problems);
        let admin = Admin::parse(read(admin)?, &grpc, &mut problems);
        problems.or((grpc, admin)).map_err(|errors| errors.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let (grpc, admin) = parse("", "").unwrap();
        assert_eq!(grpc.listen.to_string(), "127.0.0.1:7420");
        assert_eq!((grpc.tls, grpc.drain_timeout), (None, Duration::from_secs(10)));
        assert_eq!(admin.listen.to_string(), "127.0.0.1:7421");
        parse("listen = '[::]:0'", "listen = '[::]:0'").unwrap();
    }

    #[test]
    fn odd_addresses_are_refused() {
        for (grpc, admin, expected) in [
            (
                "listen = 'localhost:7420'",
                "",
                "grpc.listen: \"localhost:7420\" is no address; it must be an IP address and a port, \
                 such as 127.0.0.1:7420 or 0.0.0.0:7420",
            ),
            (
                "",
                "listen = ':1'",
                "admin.listen: \":1\" is no address; it must be an IP address and a port, \
                 such as 127.0.0.1:7421 or 0.0.0.0:7421",
            ),
            (
                "",
                "listen = '127.0.0.1:7420'",
                "admin.listen: is 127.0.0.1:7420, where gRPC listens; it must be another port",
            ),
            ("drain_timeout = '2h'", "", "grpc.drain_timeout: is 2h; it must be from 0s to 1h"),
            ("tls = {}", "", "grpc.tls: must have cert and key, the server's certificate"),
        ] {
            assert_eq!(parse(grpc, admin).unwrap_err(), expected);
        }
    }
}
