//! The bearer token that every call and every stream carries: who this client is, for servers that ask.
//!
//! Deliberately absent: what a token says, and how long it is good. That is between its issuer and the
//! server.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, str};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status, transport};

use crate::clock::Moment;
use crate::error::Error;

/// The way to a replica, for calls that say who asks.
pub(crate) type Channel = InterceptedService<transport::Channel, Bearer>;

/// A file is not read more often. A token that is replaced is good for a while longer.
const READ_EVERY: Duration = Duration::from_secs(1);
/// Above any token that fits into the headers of a call.
const LONGEST: u64 = 64 * 1_024;

/// Where a token comes from.
#[derive(Clone)]
pub(crate) enum Source {
    Fixed(String),
    File(PathBuf),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Puts the token into every call.
#[derive(Debug, Clone)]
pub(crate) enum Bearer {
    Nobody,
    Fixed(MetadataValue<Ascii>),
    File(Arc<TokenFile>),
}

impl Bearer {
    /// # Errors
    /// [`Error::Invalid`]: there is no token, or none that can be sent.
    pub(crate) fn new(source: Option<&Source>) -> Result<Self, Error> {
        Ok(match source {
            None => Self::Nobody,
            Some(Source::Fixed(token)) => {
                let value = header(token).map_err(|why| Error::invalid("token", why))?;
                Self::Fixed(value)
            }
            Some(Source::File(path)) => {
                let file = TokenFile::read(path);
                let unfit = |error| {
                    let path = path.display();
                    Error::invalid("token_file", &format!("{path} cannot be used: {error}"))
                };
                Self::File(Arc::new(file.map_err(unfit)?))
            }
        })
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = match self {
            Self::Nobody => return Ok(request),
            Self::Fixed(value) => value.clone(),
            Self::File(file) => file.value(),
        };
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// A file that somebody else writes anew before its token ends, as Kubernetes does.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    newest: Mutex<Newest>,
}

#[derive(Debug)]
struct Newest {
    value: MetadataValue<Ascii>,
    /// When the file is to be read again.
    until: Moment,
}

impl TokenFile {
    fn read(path: &Path) -> io::Result<Self> {
        let newest = Newest { value: read(path)?, until: Moment::now().after(READ_EVERY) };
        Ok(Self { path: path.to_owned(), newest: Mutex::new(newest) })
    }

    /// Reads a small local file now and then where nothing may block for long.
    fn value(&self) -> MetadataValue<Ascii> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.until.has_passed() {
            newest.until = Moment::now().after(READ_EVERY);
            match read(&self.path) {
                Ok(value) => newest.value = value,
                // Its writer may be in the middle of it. The server knows how long the last one is good.
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "no new token can be read");
                }
            }
        }
        newest.value.clone()
    }
}

fn read(path: &Path) -> io::Result<MetadataValue<Ascii>> {
    // What is no file, such as a pipe, may keep its reader waiting, and can be read once.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("it is too long for a token"));
    }
    let text = str::from_utf8(&bytes).map_err(|_| io::Error::other(UNFIT))?;
    header(text).map_err(io::Error::other)
}

const UNFIT: &str = "a token is made of visible ASCII characters";

/// Whatever is wrong is said without the token.
fn header(token: &str) -> Result<MetadataValue<Ascii>, &'static str> {
    let token = token.trim();
    if token.is_empty() {
        return Err("there is no token in it");
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UNFIT);
    }
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| UNFIT)?;
    // Neither shown, nor kept by the compression of headers.
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
