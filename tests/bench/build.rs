//! Compiles the echo service, and what of etcd's contract is called, with protox: no machine needs
//! protoc, as the client crates of etcd do.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = ["bench/v1/echo.proto", "etcd/lease.proto", "etcd/lock.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
