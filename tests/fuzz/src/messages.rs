//! Messages of every method, right and wrong, and their bytes.

use crate::rules::Message;
use crate::values::{duration, metadata, number, text, token};
use holdfast_proto::v1;
use proptest::prelude::*;
use prost::Message as _;

/// A message of any method, around this moment.
pub fn message(wall_micros: u64, skew_micros: u64) -> BoxedStrategy<Message> {
    let token = move || token(wall_micros, skew_micros);
    prop_oneof![
        acquire().prop_map(Message::Acquire),
        extend(token()).prop_map(Message::Extend),
        (resource(), lease_id(), token()).prop_map(|(resource, lease_id, fencing_token)| {
            Message::Release(v1::ReleaseRequest { resource, lease_id, fencing_token })
        }),
        start(token()).prop_map(Message::Hold),
        (resource(), token(), duration()).prop_map(
            |(resource, after_fencing_token, bookmark_interval)| {
                Message::Watch(v1::WatchLeaderRequest {
                    resource,
                    after_fencing_token,
                    bookmark_interval,
                })
            }
        ),
        (resource(), token()).prop_map(|(resource, fencing_token)| {
            Message::Check(v1::CheckFencingTokenRequest { resource, fencing_token })
        }),
        (resource(), page_size()).prop_map(|(prefix, page_size)| {
            Message::List(v1::ListLocksRequest { prefix, page_size, page_token: String::new() })
        }),
        resource().prop_map(|resource| Message::Describe(v1::DescribeLockRequest { resource })),
        (resource(), token(), text(256), any::<bool>()).prop_map(
            |(resource, fencing_token, reason, immediate)| {
                Message::Force(v1::ForceReleaseRequest {
                    resource,
                    fencing_token,
                    reason,
                    immediate,
                })
            }
        ),
    ]
    .boxed()
}

/// An AcquireRequest.
pub fn acquire() -> BoxedStrategy<v1::AcquireRequest> {
    (resource(), text(256), duration(), duration(), lease_id(), metadata(4_096))
        .prop_map(|(resource, holder, ttl, wait, lease_id, metadata)| v1::AcquireRequest {
            resource,
            holder,
            ttl,
            wait,
            lease_id,
            metadata,
        })
        .boxed()
}

/// An ExtendRequest.
pub fn extend(token: BoxedStrategy<u64>) -> BoxedStrategy<v1::ExtendRequest> {
    (resource(), lease_id(), token, duration(), metadata(4_096), prop::bool::weighted(0.2))
        .prop_map(|(resource, lease_id, fencing_token, ttl, metadata, clear_metadata)| {
            v1::ExtendRequest { resource, lease_id, fencing_token, ttl, metadata, clear_metadata }
        })
        .boxed()
}

/// A HoldStart.
pub fn start(token: BoxedStrategy<u64>) -> BoxedStrategy<v1::HoldStart> {
    let acquire = prop::option::weighted(0.9, acquire());
    let liveness = prop_oneof![4 => 0..=2_i32, 1 => -1..=3_i32, 1 => any::<i32>()];
    (acquire, token, duration(), liveness)
        .prop_map(|(acquire, fencing_token, grace, liveness)| v1::HoldStart {
            acquire,
            fencing_token,
            grace,
            liveness,
        })
        .boxed()
}

fn resource() -> BoxedStrategy<String> {
    text(512)
}

fn lease_id() -> BoxedStrategy<String> {
    text(256)
}

fn page_size() -> BoxedStrategy<u32> {
    number().prop_map(|number| number as u32).boxed()
}

impl Message {
    /// As it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Acquire(request) => request.encode_to_vec(),
            Self::Extend(request) => request.encode_to_vec(),
            Self::Release(request) => request.encode_to_vec(),
            Self::Hold(start) => start.encode_to_vec(),
            Self::Watch(request) => request.encode_to_vec(),
            Self::Check(request) => request.encode_to_vec(),
            Self::List(request) => request.encode_to_vec(),
            Self::Describe(request) => request.encode_to_vec(),
            Self::Force(request) => request.encode_to_vec(),
        }
    }

    /// The method it is for.
    pub fn path(&self) -> &'static str {
        match self {
            Self::Acquire(_) => "/holdfast.v1.LockService/Acquire",
            Self::Extend(_) => "/holdfast.v1.LockService/Extend",
            Self::Release(_) => "/holdfast.v1.LockService/Release",
            Self::Hold(_) => "/holdfast.v1.LockService/Hold",
            Self::Watch(_) => "/holdfast.v1.LockService/WatchLeader",
            Self::Check(_) => "/holdfast.v1.LockService/CheckFencingToken",
            Self::List(_) => "/holdfast.v1.AdminService/ListLocks",
            Self::Describe(_) => "/holdfast.v1.AdminService/DescribeLock",
            Self::Force(_) => "/holdfast.v1.AdminService/ForceRelease",
        }
    }

    /// What it is about; `None`: nothing at all.
    pub fn resource_mut(&mut self) -> Option<&mut String> {
        Some(match self {
            Self::Acquire(request) => &mut request.resource,
            Self::Extend(request) => &mut request.resource,
            Self::Release(request) => &mut request.resource,
            Self::Hold(start) => &mut start.acquire.as_mut()?.resource,
            Self::Watch(request) => &mut request.resource,
            Self::Check(request) => &mut request.resource,
            Self::List(_) => return None,
            Self::Describe(request) => &mut request.resource,
            Self::Force(request) => &mut request.resource,
        })
    }

    /// As the first, or the only, message of its method goes over the wire.
    pub fn encode_for_the_wire(&self) -> Vec<u8> {
        match self {
            Self::Hold(start) => {
                let message = Some(v1::hold_request::Message::Start(start.clone()));
                v1::HoldRequest { message }.encode_to_vec()
            }
            other => other.encode(),
        }
    }

    /// Bytes as a message of the same method as this one.
    pub fn decode_alike(&self, bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        Ok(match self {
            Self::Acquire(_) => Self::Acquire(v1::AcquireRequest::decode(bytes)?),
            Self::Extend(_) => Self::Extend(v1::ExtendRequest::decode(bytes)?),
            Self::Release(_) => Self::Release(v1::ReleaseRequest::decode(bytes)?),
            Self::Hold(_) => Self::Hold(v1::HoldStart::decode(bytes)?),
            Self::Watch(_) => Self::Watch(v1::WatchLeaderRequest::decode(bytes)?),
            Self::Check(_) => Self::Check(v1::CheckFencingTokenRequest::decode(bytes)?),
            Self::List(_) => Self::List(v1::ListLocksRequest::decode(bytes)?),
            Self::Describe(_) => Self::Describe(v1::DescribeLockRequest::decode(bytes)?),
            Self::Force(_) => Self::Force(v1::ForceReleaseRequest::decode(bytes)?),
        })
    }
}
