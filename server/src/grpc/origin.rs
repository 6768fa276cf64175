//! Where a call comes from: which connection, and who proved to send it.

use crate::auth::{Caller, Identity};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The other end of a connection. tonic puts it beside every call that comes over it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Whom its certificate names.
    pub(crate) certificate: Option<Arc<Identity>>,
}

/// Where a call comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) caller: Caller,
    /// `None`: from this process.
    pub(crate) address: Option<SocketAddr>,
}

/// Who shares bounds that are per identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    Identity(Arc<str>),
    /// Of callers that prove no identity.
    Address(IpAddr),
    Nobody,
}

impl Origin {
    /// As the layer put it down.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    pub(crate) fn party(&self) -> Party {
        match (self.caller.identity(), self.address) {
            (Some(identity), _) => Party::Identity(Arc::clone(identity)),
            // An address of IPv6 is easily changed within the network that somebody was given.
            (None, Some(address)) => Party::Address(network(address.ip())),
            (None, None) => Party::Nobody,
        }
    }
}

/// The address, of IPv6 its /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            [a, b, c, d, 0, 0, 0, 0].into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_party() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
