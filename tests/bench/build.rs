//! Compiles the echo service, and what of etcd's contract is called, with protox: no machine needs
//! protoc, as the client crates of etcd do.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let echo = protox::compile(["bench/v1/echo.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(echo)?;
    let etcd = protox::compile(["etcd/lease.proto", "etcd/lock.proto"], ["proto"])?;
    tonic_prost_build::configure().build_server(false).compile_fds(etcd)?;
    Ok(())
}
