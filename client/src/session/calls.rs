//! One call: over the stream, or as a unary call where there can be no stream.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_proto::v1;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::session_request::Request;
use holdfast_proto::v1::session_response::Result as Outcome;
use prost_types::Duration;
use tokio::runtime::Handle;
use tonic::Code;

use crate::clock::Moment;
use crate::error::Error;
use crate::failure::Failure;
use crate::session::answer::refused;
use crate::session::stream::SessionStream;
use crate::token::Channel;

/// A year, more than any ttl: the end of a stream leaves its leases to their ttl. They are renewed over the
/// next one, through whatever replica.
const BEYOND_ANY_TTL: Duration = Duration { seconds: 365 * 24 * 60 * 60, nanos: 0 };

/// The calls over one connection.
#[derive(Debug)]
pub(crate) struct Session {
    runtime: Handle,
    channel: Channel,
    stream: Mutex<Option<Arc<SessionStream>>>,
    /// The server is older than Session.
    unary: AtomicBool,
}

impl Session {
    /// Opens nothing yet.
    pub(crate) fn new(runtime: Handle, channel: Channel) -> Self {
        Self { runtime, channel, stream: Mutex::new(None), unary: AtomicBool::new(false) }
    }

    /// The answer, and when it was asked for.
    pub(crate) async fn acquire(
        &self,
        request: impl Fn() -> Result<v1::AcquireRequest, Error>,
    ) -> Result<(Moment, v1::AcquireResponse), Failure> {
        let acquire = request()?;
        let over_stream = || {
            let (acquire, grace) = (Some(acquire), Some(BEYOND_ANY_TTL));
            Request::Acquire(v1::SessionAcquire { acquire, grace })
        };
        match self.ask(over_stream).await? {
            Some((sent, Some(Outcome::Acquired(answer)))) => Ok((sent, answer)),
            Some((_, other)) => Err(refused(other)),
            None => {
                let request = request()?;
                let sent = Moment::now();
                let answer = LockServiceClient::new(self.channel.clone()).acquire(request).await?;
                Ok((sent, answer.into_inner()))
            }
        }
    }

    /// The answer, and when it was asked for.
    pub(crate) async fn extend(
        &self,
        request: impl Fn() -> v1::ExtendRequest,
    ) -> Result<(Moment, v1::ExtendResponse), Failure> {
        match self.ask(|| Request::Extend(request())).await? {
            Some((sent, Some(Outcome::Extended(answer)))) => Ok((sent, answer)),
            Some((_, other)) => Err(refused(other)),
            None => {
                let sent = Moment::now();
                let mut service = LockServiceClient::new(self.channel.clone());
                let answer = service.extend(request()).await?;
                Ok((sent, answer.into_inner()))
            }
        }
    }

    pub(crate) async fn release(
        &self,
        request: impl Fn() -> v1::ReleaseRequest,
    ) -> Result<v1::ReleaseResponse, Failure> {
        match self.ask(|| Request::Release(request())).await? {
            Some((_, Some(Outcome::Released(answer)))) => Ok(answer),
            Some((_, other)) => Err(refused(other)),
            None => {
                let mut service = LockServiceClient::new(self.channel.clone());
                Ok(service.release(request()).await?.into_inner())
            }
        }
    }

    /// `None`: there can be no stream at present. It may have been asked all the same: asking again is safe,
    /// as it always is.
    async fn ask(
        &self,
        request: impl FnOnce() -> Request,
    ) -> Result<Option<(Moment, Option<Outcome>)>, Failure> {
        if self.unary.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let stream = self.stream();
        let sent = Moment::now();
        let status = match stream.ask(request()).answer().await {
            Ok(outcome) => return Ok(Some((sent, outcome))),
            Err(status) => status,
        };
        if status.code() == Code::Unimplemented {
            self.unary.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        match Error::from_status(&status) {
            Error::Unreachable(_) => Err(status.into()),
            // Meant for the stream, or for one call of all those on it: a unary call learns which.
            _ => Ok(None),
        }
    }

    fn stream(&self) -> Arc<SessionStream> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        match &*stream {
            Some(open) if !open.has_ended() => Arc::clone(open),
            _ => {
                let open = SessionStream::open(&self.runtime, self.channel.clone());
                Arc::clone(stream.insert(Arc::new(open)))
            }
        }
    }
}
