//! Frames that bring nothing: pings, settings, priorities, empty data, frames of no known kind. Each is cheap and allowed;
//! a client that sends little else makes us work for nobody (CVE-2019-9512, -9515, -9518 and their kin).
//!
//! One counter for all of them, in place of a limiter each: what comes is counted, and forgotten at a rate. It reads the
//! frame heads (RFC 9113 section 4.1) from the bytes on their way to `h2`, which tells nobody about these frames.

use tokio::time::Instant;

use super::settings::Settings;

const HEAD_BYTES: usize = 9;

/// In front of the first frame.
const PREFACE_BYTES: usize = 24;

/// What a frame of data that we sent excuses, however small: an update of each window, and a ping by which the client
/// measures the line (a client of gRPC does all three for every message).
const EXCUSES: u64 = 3;
/// So many bytes of data excuse one more.
const EXCUSE_BYTES: usize = 512;
/// Excuses that are kept: an answer of half a MiB.
const EXCUSES_MOST: u64 = 1024;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const PING: u8 = 6;
const END_STREAM: u8 = 1;

/// Finds the heads of frames in one direction, however they are cut.
#[derive(Debug, Default)]
struct Heads {
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that have come.
    have: usize,
    /// Bytes to pass before the next head.
    skip: usize,
}

impl Heads {
    /// Goes on to the end of the next head in `bytes`; gives its kind, its flags and the length of its payload.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<(u8, u8, usize)> {
        let passed = self.skip.min(bytes.len());
        (self.skip, *bytes) = (self.skip - passed, &bytes[passed..]);
        let wanted = (HEAD_BYTES - self.have).min(bytes.len());
        self.head[self.have..self.have + wanted].copy_from_slice(&bytes[..wanted]);
        (self.have, *bytes) = (self.have + wanted, &bytes[wanted..]);
        if self.have < HEAD_BYTES {
            return None;
        }
        self.have = 0;
        let [a, b, c, kind, flags, ..] = self.head;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        Some((kind, flags, self.skip))
    }
}

/// Counts on one connection.
#[derive(Debug)]
pub(super) struct Glitches {
    theirs: Heads,
    ours: Heads,
    level: u64,
    forgotten_at: Instant,
    allowed: u64,
    per_second: u64,
    /// Updates and pings that are excused by what we sent.
    excuses: u64,
}

impl Glitches {
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            theirs: Heads { skip: PREFACE_BYTES, ..Heads::default() },
            ours: Heads::default(),
            level: 0,
            forgotten_at: now,
            allowed: settings.glitches.into(),
            per_second: settings.glitches_per_second.into(),
            excuses: 0,
        }
    }

    /// Counts, and never minds.
    pub(super) fn unlimited() -> Self {
        let settings =
            Settings { glitches: u32::MAX, glitches_per_second: u32::MAX, ..Settings::default() };
        Self::new(&settings, Instant::now())
    }

    /// Looks at what the client has sent.
    pub(super) fn received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if let Some(head) = self.theirs.next(&mut bytes) {
                self.take_head(head);
            }
        }
    }

    /// Looks at what is sent to the client.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if let Some((DATA, _, len @ 1..)) = self.ours.next(&mut bytes) {
                let excuses = self.excuses + EXCUSES + (len / EXCUSE_BYTES) as u64;
                self.excuses = excuses.min(EXCUSES_MOST);
            }
        }
    }

    /// True once the client has sent more of them than it may.
    pub(super) fn is_over(&self) -> bool {
        self.level > self.allowed
    }

    fn take_head(&mut self, (kind, flags, len): (u8, u8, usize)) {
        match kind {
            // Counted as requests, and as requests that were given up.
            HEADERS | RST_STREAM | GOAWAY => {}
            DATA if len > 0 || flags & END_STREAM != 0 => {}
            WINDOW_UPDATE | PING if self.excuses > 0 => self.excuses -= 1,
            _ => self.count(Instant::now()),
        }
    }

    fn count(&mut self, now: Instant) {
        let since = now.duration_since(self.forgotten_at).as_secs();
        if since > 0 {
            self.level = self.level.saturating_sub(since.saturating_mul(self.per_second));
            self.forgotten_at = now;
        }
        self.level += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn counter() -> Glitches {
        let settings = Settings { glitches: 10, glitches_per_second: 5, ..Settings::default() };
        let mut glitches = Glitches::new(&settings, Instant::now());
        glitches.received(&[b'P'; PREFACE_BYTES]);
        glitches
    }

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u8::try_from(payload).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], &vec![0xff; payload]].concat()
    }

    #[test]
    fn frames_that_bring_nothing_are_counted_however_they_are_cut() {
        let frames = [frame(PING, 0, 8), frame(4, 0, 0), frame(DATA, 0, 0), frame(99, 0, 7)];
        for size in [1, 2, 5, 1000] {
            let mut glitches = counter();
            frames.concat().chunks(size).for_each(|piece| glitches.received(piece));
            assert_eq!(glitches.level, 4, "in pieces of {size}");
        }
    }

    #[test]
    fn requests_and_their_bodies_are_not() {
        let mut glitches = counter();
        for frame in [frame(HEADERS, 4, 20), frame(DATA, 0, 1), frame(DATA, END_STREAM, 0)] {
            glitches.received(&frame);
        }
        assert_eq!(glitches.level, 0);
    }

    #[test]
    fn a_client_that_is_sent_much_may_say_so() {
        let mut glitches = counter();
        glitches.sent(&frame(DATA, 0, 1));
        (0..5).for_each(|_| glitches.received(&frame(WINDOW_UPDATE, 0, 4)));
        assert_eq!(glitches.level, 2);
        // An answer to a ping is no reason for another one.
        glitches.sent(&frame(PING, 1, 8));
        glitches.received(&frame(PING, 0, 8));
        assert_eq!(glitches.level, 3);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut glitches = counter();
        let start = glitches.forgotten_at;
        (0..11).for_each(|_| glitches.count(start));
        assert!(glitches.is_over());
        glitches.count(start + Duration::from_secs(2));
        assert_eq!(glitches.level, 2);
    }
}
