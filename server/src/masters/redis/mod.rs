//! A Redis process as a master.
//!
//! Owns everything Redis: connections, scripts, the packed form of a lock. Redis types stop here.
//! Deliberately absent: reconnecting below the handshake, resending, and judging votes.
//!
//! ```text
//! connector  connects, shakes hands: who is it, is it fit, do the scripts run?
//! looking    the same from then on, and the heartbeats of a unit
//! deployment keys and channels, and what replicas agree on
//! unit       which process of several is the primary, and may it vote?
//! endpoint   TCP, Unix sockets, TLS
//! link       one pipelined write a batch; replies in order
//! scripts    one Lua file a script, run by EVALSHA; a guard before each on a unit
//! calls      which asks share a call of a script
//! codec      requests to commands, values to replies
//! record     the packed form of a lock
//! notices    publish and subscribe
//! info       what INFO must say of a master, at the handshake and from then on
//! remark     what an operator should know of one that may vote all the same
//! operator   what `bootstrap` and `accept-config` do
//! ```

mod calls;
mod codec;
mod connector;
mod deployment;
mod endpoint;
mod info;
mod link;
mod looking;
mod notices;
mod operator;
mod record;
mod remark;
mod scripts;
mod unit;

pub use connector::{Place, RedisConnector};
pub use deployment::Deployment;
pub use endpoint::{Endpoint, Tls};
pub use operator::{Boot, Operator, OperatorError, Vacancy};
pub use unit::{Primary, Unit};
