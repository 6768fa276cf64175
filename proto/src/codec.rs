//! The codec of the generated clients and servers: prost's, with small buffers, and with an honest
//! answer to a request that does not decode.
//!
//! Deliberately absent: limits on the size of a message (a setting of the server) and every check of
//! what a decoded message contains.

use std::{collections::HashMap, marker::PhantomData};

use prost::{Message, Name};
use tonic::{
    Code, Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
    metadata::{MetadataMap, MetadataValue},
};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};
use tonic_types::{ErrorDetails, StatusExt};

use crate::errors::{DOMAIN, REASON_TRAILER, reason};

/// First size of the buffers of a call, and how much a stream gathers before it sends. Messages are
/// a few hundred bytes and ten thousand idle streams are normal, each with two buffers: tonic's 8 KiB
/// apiece would be 160 MB of nothing. A buffer grows when a message needs it.
const BUFFER_BYTES: usize = 512;

/// Encodes `T` and decodes `U`: in a client requests and responses, in a server the reverse.
#[derive(Debug, Clone)]
pub struct ProtoCodec<T, U> {
    types: PhantomData<(T, U)>,
}

impl<T, U> Default for ProtoCodec<T, U> {
    fn default() -> Self {
        Self { types: PhantomData }
    }
}

impl<T, U> Codec for ProtoCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProtoDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(buffer_settings())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProtoDecoder { inner: ProstCodec::<T, U>::raw_decoder(buffer_settings()) }
    }
}

/// Decodes `U`, and answers a request that does not decode with INVALID_ARGUMENT: the fault is the
/// caller's. A response that does not decode stays INTERNAL, which is what a client may say of a server.
#[derive(Debug, Clone)]
pub struct ProtoDecoder<U> {
    inner: ProstDecoder<U>,
}

impl<U: Message + Name + Default> Decoder for ProtoDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        self.inner.decode(buf).map_err(|error| {
            if is_request::<U>() { malformed_message::<U>(error.message()) } else { error }
        })
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.inner.buffer_settings()
    }
}

fn buffer_settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, BUFFER_BYTES)
}

/// Every rpc has its own `XRequest` and `XResponse` (`tests/contract.rs` sees to it), so that whoever
/// decodes an `XRequest` is a server.
fn is_request<U: Name>() -> bool {
    U::NAME.ends_with("Request")
}

fn malformed_message<U: Name>(what: &str) -> Status {
    let mut trailers = MetadataMap::new();
    trailers.insert(REASON_TRAILER, MetadataValue::from_static(reason::MALFORMED_MESSAGE));
    Status::with_error_details_and_metadata(
        Code::InvalidArgument,
        format!("not a {}: {what}", U::full_name()),
        ErrorDetails::with_error_info(reason::MALFORMED_MESSAGE, DOMAIN, HashMap::new()),
        trailers,
    )
}
