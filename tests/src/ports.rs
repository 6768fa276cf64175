//! Ports that stay free while the process behind them is down.
//!
//! Not the kernel's own choice (bind to 0, look, release): that comes from the range of outgoing
//! connections. While a killed server is down, any connection of the machine may take its port, and a
//! client that keeps dialling the dead port can even connect to itself and so keep it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

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
        if TcpListener::bind(loopback(port)).is_ok() {
            return port;
        }
    }
    panic!("no port between {FIRST} and {} is free", FIRST + COUNT);
}

/// 127.0.0.1 with this port.
pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
