//! The contract `holdfast.v1` in Rust: its messages, its clients and servers, the descriptor set, and
//! the words of the error contract.
//!
//! The contract itself is `holdfast/v1/*.proto`; the documentation of everything in [`v1`] is copied
//! from there. `build.rs` compiles it, and nothing generated is in the tree.
//!
//! Deliberately absent: every decision. What a message may contain is decided where it becomes a type
//! of the server (`grpc/convert`), how a deadline is computed in the client. The one thing this crate
//! answers by itself is bytes that are no message at all, in [`codec`].

pub mod codec;
pub mod errors;

/// Everything in package `holdfast.v1`.
#[expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::clone_on_ref_ptr,
    reason = "generated code, in the style of its generator"
)]
pub mod v1 {
    tonic::include_proto!("holdfast.v1");
}

/// The encoded `google.protobuf.FileDescriptorSet` of `holdfast.v1` and all that it imports, with
/// comments; what server reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("holdfast.v1");
