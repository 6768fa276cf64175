//! The deadline of a call: what the client says in `grpc-timeout`, and how much of it the engine may
//! use so that its answer still arrives.

use std::time::Duration;
use tonic::Request;

/// The header that carries it.
pub(super) const HEADER: &str = "grpc-timeout";
/// Kept back for the way home, unless a tenth of the timeout is more.
const WAY_HOME: Duration = Duration::from_millis(50);
/// Digits that the specification allows.
const MAX_DIGITS: usize = 8;

/// How long the client of this call waits, if it said so.
pub(super) fn of<T>(request: &Request<T>) -> Option<Duration> {
    parse(request.metadata().get(HEADER)?.as_encoded_bytes())
}

/// The value of the header; `None` if it is none.
pub(super) fn parse(header: &[u8]) -> Option<Duration> {
    let (unit, digits) = header.split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(value * 3_600)),
        b'M' => Some(Duration::from_secs(value * 60)),
        b'S' => Some(Duration::from_secs(value)),
        b'm' => Some(Duration::from_millis(value)),
        b'u' => Some(Duration::from_micros(value)),
        b'n' => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// The part of a timeout that the engine may use: all but 50 ms or a tenth, whichever is more, but at
/// least half.
pub(super) fn for_the_engine(timeout: Duration) -> Duration {
    timeout.saturating_sub(WAY_HOME.max(timeout / 10)).max(timeout / 2)
}

/// When the server answers whatever happens: behind the engine, before the client and before tonic,
/// whose own answer would not speak the contract.
pub(super) fn for_the_server(timeout: Duration) -> Duration {
    timeout - timeout / 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_as_the_specification_says() {
        for (header, expected) in [
            ("2H", Some(Duration::from_secs(7_200))),
            ("3M", Some(Duration::from_secs(180))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("82m", Some(Duration::from_millis(82))),
            ("82u", Some(Duration::from_micros(82))),
            ("82n", Some(Duration::from_nanos(82))),
            ("0S", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            ("123456789S", None),
        ] {
            assert_eq!(parse(header.as_bytes()), expected, "{header}");
        }
    }

    #[test]
    fn the_answer_has_time_to_travel() {
        for (timeout, engine, server) in
            [(10, 5, 9), (60, 30, 57), (200, 150, 190), (1_000, 900, 950), (60_000, 54_000, 57_000)]
        {
            let timeout = Duration::from_millis(timeout);
            assert_eq!(for_the_engine(timeout).as_millis(), engine);
            assert_eq!(for_the_server(timeout).as_millis(), server);
        }
    }
}
