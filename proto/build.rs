//! Compiles `holdfast/v1/*.proto` with protox, so that no machine needs protoc, into the messages, the
//! clients and servers, and the descriptor set that `src/lib.rs` includes.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const INCLUDES: [&str; 1] = ["."];
const FILES: [&str; 3] =
    ["holdfast/v1/admin_service.proto", "holdfast/v1/lock.proto", "holdfast/v1/lock_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=holdfast");

    let descriptors = protox::compile(FILES, INCLUDES)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("holdfast.v1.bin"), descriptors.encode_to_vec())?;

    // The codec tells requests from responses by the name of the message.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();

    tonic_prost_build::configure()
        .btree_map(".") // metadata reads and encodes in one order everywhere
        .codec_path("crate::codec::ProtoCodec")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
