//! What a connection from a client may take, each with its reason.

use std::time::Duration;

use hatchway_proto::http1::Limits;

use crate::http2;

/// Limits of a connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a head may hold.
    pub limits: Limits,
    /// From the first byte of a head to its last, however the bytes dribble in.
    pub head_clock: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// Without a byte of an answer being taken.
    pub write_clock: Duration,
    /// How much of a body has to come in how long, while nothing is answered yet and the client is the one
    /// that is waited for. Once an answer has begun, both talk at their own pace and only the idle clock rings.
    pub body_rate: Option<BodyRate>,
    /// How long a connection that has nothing to do stays open once this core drains: a request that is on its
    /// way is served, and told to be the last.
    pub drain_grace: Duration,
    /// How long, and how much of it, a client is listened to after our last answer: closing while it still sends
    /// would take the answer from it (RFC 9112 section 9.6).
    pub linger: Linger,
    /// A body of declared length with at least this many bytes to come moves through a pipe inside the kernel
    /// (splice(2)) where both sides are plain sockets; `u64::MAX`: never.
    pub splice_from: u64,
    /// HTTP/2 on the same port, by prior knowledge (RFC 9113 section 3.3), within these limits.
    pub http2: Option<http2::Settings>,
}

/// The slowest body that is waited for.
#[derive(Clone, Copy, Debug)]
pub struct BodyRate {
    /// At least this many bytes.
    pub bytes: u64,
    /// In every stretch of this length.
    pub window: Duration,
}

/// How a connection is closed under a client that may still send.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    /// For this long at most.
    pub clock: Duration,
    /// Bytes read and forgotten; more stays unread until the clock has run out.
    pub bytes: usize,
}

impl Default for Settings {
    /// For clients that nobody knows.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            // A head is one packet or a few; ten seconds is a very bad line.
            head_clock: Duration::from_secs(10),
            // Longer than what common clients and load balancers keep (60 s), so that they close first.
            keep_alive: Duration::from_secs(75),
            write_clock: Duration::from_secs(30),
            // As Apache's `RequestReadTimeout body=20,MinRate=500`: below the slowest modem, above an attacker
            // who wants a slot per byte.
            body_rate: Some(BodyRate { bytes: 10_000, window: Duration::from_secs(20) }),
            // Several round trips around the earth.
            drain_grace: Duration::from_millis(500),
            linger: Linger { clock: Duration::from_secs(2), bytes: 64 * 1024 },
            // One turn of the copying path moves as much in two system calls.
            splice_from: 128 * 1024,
            http2: Some(http2::Settings::default()),
        }
    }
}

impl Settings {
    /// For our own programs: heads have grown on the way, and the border has watched over the client's pace.
    pub fn inside() -> Self {
        Self { limits: Limits::inside(), body_rate: None, http2: None, ..Self::default() }
    }
}
