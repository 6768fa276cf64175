//! Ports that stay free while the process behind them is down.
//!
//! Not the kernel's own choice (bind to 0, look, release): that comes from the range of outgoing
//! connections. While a killed server is down, any connection of the machine may take its port, and a
//! client that keeps dialling the dead port can even connect to itself and so keep it. Nor is such a port
//! for another test process that runs at the same time: each takes its ports from blocks of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixDatagram};
use std::process;
use std::sync::{Mutex, PoisonError};

use socket2::{Domain, Socket, Type};

/// The last one ends below 32768, where Linux begins with ports for outgoing connections.
const FIRST: u16 = 15_000;
const BLOCK: u16 = 200;
const BLOCKS: u16 = 85;

static PORTS: Mutex<Ports> = Mutex::new(Ports { left: 0..0, blocks: Vec::new() });

/// Those of this process.
struct Ports {
    left: Range<u16>,
    /// A name for each of its blocks, which no other process can have before this one ends.
    blocks: Vec<UnixDatagram>,
}

/// A port of 127.0.0.1 that nobody listens on, and that this process has not handed out before.
///
/// # Panics
/// If there is none.
pub fn free() -> u16 {
    let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(port) = ports.left.find(|port| is_free(loopback(*port))) {
            return port;
        }
        ports.take_block();
    }
}

impl Ports {
    fn take_block(&mut self) {
        // Not always the first one: what a process leaves behind may need a moment to end.
        let first = process::id() % u32::from(BLOCKS);
        for block in (0..BLOCKS).cycle().skip(first as usize).take(BLOCKS.into()) {
            if let Ok(name) = UnixDatagram::bind_addr(&name_of(block)) {
                self.blocks.push(name);
                let start = FIRST + block * BLOCK;
                self.left = start..start + BLOCK;
                return;
            }
        }
        panic!("no port between {FIRST} and {} is free", FIRST + BLOCKS * BLOCK);
    }
}

/// Of the network namespace, as ports are.
fn name_of(block: u16) -> net::SocketAddr {
    let name = format!("holdfast-tests-ports-{block}");
    net::SocketAddr::from_abstract_name(name).expect("a short name")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_of_a_block_that_no_other_process_can_take() {
        let (one, other) = (free(), free());
        assert_ne!(one, other);
        for port in [one, other] {
            let name = name_of((port - FIRST) / BLOCK);
            assert!(UnixDatagram::bind_addr(&name).is_err(), "{port}");
        }
    }
}
