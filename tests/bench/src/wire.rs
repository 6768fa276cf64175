//! Generated code: the echo, and what of etcd's contract is called.

#![expect(
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::clone_on_ref_ptr,
    reason = "generated code, in the style of its generator"
)]

pub(crate) mod echo {
    tonic::include_proto!("bench.v1");
}

pub(crate) mod etcd_lease {
    tonic::include_proto!("etcdserverpb");
}

pub(crate) mod etcd_lock {
    tonic::include_proto!("v3lockpb");
}
