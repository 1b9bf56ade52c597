//! What a gateway has to know of gRPC: which requests are of it, how long they wait, and how failures are told.
//!
//! Everything else passes as it is. "gRPC over HTTP2", grpc/grpc doc/PROTOCOL-HTTP2.md.

use std::time::Duration;

use crate::failure::{Failure, ProxyError};

/// The field that says how long the client waits.
pub const TIMEOUT: &str = "grpc-timeout";

/// Digits of a timeout at most.
const TIMEOUT_DIGITS: usize = 8;
const MOST: u128 = 99_999_999;

/// Codes that we say ourselves (google.rpc.Code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// It took too long.
    DeadlineExceeded = 4,
    /// It may not be served.
    PermissionDenied = 7,
    /// More than is allowed.
    ResourceExhausted = 8,
    /// There is no such method.
    Unimplemented = 12,
    /// A request or an answer that breaks the rules, or our fault.
    Internal = 13,
    /// Not now.
    Unavailable = 14,
}

/// True for a content type that begins a message of gRPC. Not gRPC-Web, which speaks HTTP/1.1 and has its own way of saying
/// how it ended.
pub fn is_grpc(content_type: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let Some((name, rest)) = content_type.split_at_checked(NAME.len()) else { return false };
    name.eq_ignore_ascii_case(NAME) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// Reads a timeout: up to 8 digits and a unit. None for anything else: it is passed on and not acted upon.
pub fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > TIMEOUT_DIGITS || !digits.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Writes a timeout in the finest unit that holds it.
pub fn write_timeout(left: Duration) -> String {
    let units = [(left.as_nanos(), 'n'), (left.as_micros(), 'u'), (left.as_millis(), 'm')];
    let fits = units.into_iter().find(|(count, _)| *count <= MOST);
    let (count, unit) = fits.unwrap_or((u128::from(left.as_secs()).min(MOST), 'S'));
    format!("{count}{unit}")
}

impl Status {
    /// What a failure is called in gRPC.
    pub fn of(failure: &Failure) -> Self {
        match (failure.error, failure.status) {
            (ProxyError::DestinationNotFound, _) => Self::Unimplemented,
            (ProxyError::HttpResponseTimeout | ProxyError::ConnectionTimeout, _) | (_, 504) => {
                Self::DeadlineExceeded
            }
            (_, 413 | 429 | 431) => Self::ResourceExhausted,
            (ProxyError::HttpRequestDenied | ProxyError::DestinationIpProhibited, _) => {
                Self::PermissionDenied
            }
            (
                ProxyError::HttpRequestError
                | ProxyError::HttpProtocolError
                | ProxyError::ProxyInternalError,
                _,
            ) => Self::Internal,
            (ProxyError::HttpResponseIncomplete, _) if failure.reason == "oom" => {
                Self::ResourceExhausted
            }
            (
                ProxyError::DestinationUnavailable
                | ProxyError::DnsError
                | ProxyError::ConnectionLimitReached
                | ProxyError::ConnectionTerminated
                | ProxyError::HttpResponseIncomplete,
                _,
            ) => Self::Unavailable,
        }
    }

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Text as a value of `grpc-message`: what is not printable ASCII, and `%`, by percent.
pub fn encode_message(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Component;

    #[test]
    fn content_types_of_grpc_are_known_and_their_neighbours_are_not() {
        for yes in ["application/grpc", "Application/gRPC+proto", "application/grpc;a=b"] {
            assert!(is_grpc(yes.as_bytes()), "{yes}");
        }
        for no in ["", "application/grpc-web", "application/grpcx", "application/json"] {
            assert!(!is_grpc(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn timeouts_are_read_and_written_as_the_protocol_says() {
        for (text, duration) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("0S", Duration::ZERO),
        ] {
            assert_eq!(parse_timeout(text.as_bytes()), Some(duration), "{text}");
        }
        for text in ["", "S", "5", "-1S", "123456789S", "1 S", "1s", "1.5S"] {
            assert_eq!(parse_timeout(text.as_bytes()), None, "{text}");
        }
        for (duration, text) in [
            (Duration::from_micros(99_999), "99999000n"),
            (Duration::from_secs(5), "5000000u"),
            (Duration::from_secs(300), "300000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
            (Duration::MAX, "99999999S"),
            (Duration::ZERO, "0n"),
        ] {
            assert_eq!(write_timeout(duration), text);
        }
    }

    #[test]
    fn failures_have_the_code_that_clients_act_upon() {
        let code = |status, error, reason| {
            Status::of(&Failure::new(status, error, Component::Gateway, reason, ""))
        };
        for (status, error, reason, want) in [
            (404, ProxyError::DestinationNotFound, "no-route", Status::Unimplemented),
            (429, ProxyError::HttpRequestDenied, "rate-limited", Status::ResourceExhausted),
            (503, ProxyError::ConnectionLimitReached, "queue-full", Status::Unavailable),
            (503, ProxyError::DestinationUnavailable, "crash-loop", Status::Unavailable),
            (504, ProxyError::ConnectionTimeout, "start-clock", Status::DeadlineExceeded),
            (504, ProxyError::HttpResponseTimeout, "run-clock", Status::DeadlineExceeded),
            (502, ProxyError::HttpResponseIncomplete, "oom", Status::ResourceExhausted),
            (502, ProxyError::ConnectionTerminated, "crashed", Status::Unavailable),
            (502, ProxyError::HttpProtocolError, "bad-answer", Status::Internal),
            (400, ProxyError::HttpRequestError, "bad-head", Status::Internal),
        ] {
            assert_eq!(code(status, error, reason), want, "{reason}");
        }
    }

    #[test]
    fn messages_are_printable() {
        assert_eq!(encode_message("100 % größer\n"), "100 %25 gr%C3%B6%C3%9Fer%0A");
    }
}
