//! Who may do what on the dashboard: every handler asks here before it does anything.
//!
//! Who somebody is and what they may do is `auth`'s to say, and the services ask it once more. What is added here
//! is for this port, which knows no certificates and is often within reach of more than its operators.
//! Deliberately absent: what is open to everybody, which is the page itself, the probes and the metrics.

use super::api::Failure;
use crate::auth::{Caller, Gate, Permission, Unauthenticated};
use crate::clock;
use crate::grpc::{Bounds, Context, Origin, errors, network};
use crate::telemetry::Throttle;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use holdfast_proto::errors::reason;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// Who is refused is logged no more often than this.
const LOG_PERIOD: Duration = Duration::from_secs(5);
const NOT_LOCAL: &str = "this port may be reached from other machines and asks nobody who they are: configure \
                         [auth], or bind admin.listen to loopback, or use `holdfast force-release`";
const NO_TOKENS: &str = "this replica knows its clients by certificates, and this port asks for none: configure \
                         auth.tokens_file or auth.jwt to use the dashboard";

/// The rules of this replica.
#[derive(Debug, Clone)]
pub struct Access {
    gate: Gate,
    bounds: Bounds,
    /// Only this machine reaches the port.
    is_local: bool,
    log: Arc<Throttle>,
}

/// Who sends a request, before anything of it is believed.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    headers: HeaderMap,
    address: Option<SocketAddr>,
}

impl Access {
    /// What `context` says, for a port that is bound to `listen`.
    pub fn new(context: &Context, listen: SocketAddr) -> Self {
        let log = Arc::new(Throttle::new(LOG_PERIOD));
        let (gate, bounds) = (context.gate.clone(), context.bounds.clone());
        Self { gate, bounds, is_local: listen.ip().is_loopback(), log }
    }

    /// Is a caller asked who they are?
    pub(super) fn asks(&self) -> bool {
        self.gate.asks()
    }

    /// Who is it, for one more request of theirs?
    pub(super) fn identify(&self, visitor: &Visitor) -> Result<Origin, Failure> {
        let origin = self.who(visitor)?;
        self.bounds.admit(&origin.party()).map_err(errors::too_much)?;
        Ok(origin)
    }

    /// Are they still who they were, and may they still?
    pub(super) fn confirm(
        &self,
        visitor: &Visitor,
        permission: Permission,
    ) -> Result<Origin, Failure> {
        let origin = self.who(visitor)?;
        self.permits(&origin.caller, permission, None)?;
        Ok(origin)
    }

    fn who(&self, visitor: &Visitor) -> Result<Origin, Failure> {
        if self.gate.asks() && !self.gate.asks_for_tokens() {
            return Err(Failure::new(StatusCode::FORBIDDEN, "NO_TOKENS", NO_TOKENS));
        }
        let address = visitor.address;
        let from = address.map(|address| network(address.ip()));
        let caller = self.gate.authenticate(&visitor.headers, None, from).map_err(|why| {
            if why == Unauthenticated::TooMany {
                return errors::too_much(self.bounds.too_many_tokens()).into();
            }
            if let Some(unsaid) = self.log.admit(clock::now().boot) {
                warn!(?address, %why, unsaid, "nobody is known, on the dashboard");
            }
            Failure::new(StatusCode::UNAUTHORIZED, reason::UNAUTHENTICATED, why.to_string())
        })?;
        Ok(Origin { caller, address: visitor.address })
    }

    /// May they do this, to this resource? Without one: to any at all.
    pub(super) fn authorize(
        &self,
        visitor: &Visitor,
        permission: Permission,
        resource: Option<&str>,
    ) -> Result<Origin, Failure> {
        let origin = self.identify(visitor)?;
        self.permits(&origin.caller, permission, resource)?;
        Ok(origin)
    }

    /// The same for whoever is known already.
    pub(super) fn permits(
        &self,
        caller: &Caller,
        permission: Permission,
        resource: Option<&str>,
    ) -> Result<(), Failure> {
        if permission == Permission::ForceRelease {
            self.can_force()?;
        }
        self.gate.permits(caller, permission, resource).map_err(|denied| {
            Failure::new(StatusCode::FORBIDDEN, reason::PERMISSION_DENIED, denied.to_string())
        })
    }

    /// Can anybody take a lock back at this port?
    pub(super) fn can_force(&self) -> Result<(), Failure> {
        match self.gate.asks() || self.is_local {
            true => Ok(()),
            false => Err(Failure::new(StatusCode::FORBIDDEN, "NOT_LOCAL", NOT_LOCAL)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = address.map(|ConnectInfo(address)| *address);
        Ok(Self { headers: parts.headers.clone(), address })
    }
}
