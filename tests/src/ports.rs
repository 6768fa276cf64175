//! Ports that stay free while the process behind them is down.
//!
//! Not the kernel's own choice (bind to 0, look, release): that comes from the range of outgoing
//! connections. While a killed server is down, any connection of the machine may take its port, and a
//! client that keeps dialling the dead port can even connect to itself and so keep it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, Socket, Type};

/// Below 32768, where Linux begins with ports for outgoing connections.
const FIRST: u32 = 15_000;
const COUNT: u32 = 17_000;
/// Sets apart the sequences of test processes that run at the same time.
const STRIDE_PER_PROCESS: u32 = 211;

static HANDED_OUT: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 that nobody listens on, and that this process has not handed out before.
pub fn free() -> u16 {
    let offset = process::id().wrapping_mul(STRIDE_PER_PROCESS);
    for _ in 0..COUNT {
        let index = HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + offset.wrapping_add(index) % COUNT) as u16;
        if is_free(loopback(port)) {
            return port;
        }
    }
    panic!("no port between {FIRST} and {} is free", FIRST + COUNT);
}

/// Without listening there: a process that is just being started would have a copy of the listener,
/// and keep from the port whom it is meant for.
fn is_free(address: SocketAddr) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("an option of every socket");
    socket.bind(&address.into()).is_ok()
}

/// 127.0.0.1 with this port.
pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
