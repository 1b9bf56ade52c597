//! Where the frames of a web socket end (RFC 6455 section 5.2), seen from outside: the few bytes of their heads are read, and nothing
//! else. So one that passes on whatever comes can say goodbye between two frames, when it has to.

use std::time::Duration;

use tokio::time::Instant;

use crate::ticker::Ticker;

/// A close frame of a server, unmasked: 1001, an endpoint that goes away (RFC 6455 section 7.4.1).
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// How long a socket may still come to its end by itself once its core drains.
const GRACE: Duration = Duration::from_secs(2);

/// The longest head: two bytes, a length of eight, a mask of four.
const HEAD: usize = 14;

/// One direction of a web socket.
#[derive(Clone, Debug, Default)]
struct Frames {
    head: [u8; HEAD],
    /// Bytes of a head that is not complete.
    have: usize,
    /// Bytes of the payload that are still to come.
    left: u64,
}

impl Frames {
    /// True between two frames.
    fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Passes what was read.
    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// Passes bytes up to the end of a frame, and gives how many those are; none when it does not end in them.
    fn advance_to_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut done = 0;
        while !self.is_between() {
            if done == bytes.len() {
                return None;
            }
            done += self.step(&bytes[done..]);
        }
        Some(done)
    }

    /// One byte of a head, or as much of a payload as there is.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(self.left);
            self.left -= count;
            return usize::try_from(count).expect("it is no more than there are bytes");
        }
        self.head[self.have] = bytes[0];
        self.have += 1;
        if let Some(payload) = self.payload() {
            (self.have, self.left) = (0, payload);
        }
        1
    }

    /// The length of the payload, once its head is complete.
    fn payload(&self) -> Option<u64> {
        if self.have < 2 {
            return None;
        }
        let (length, mask) = (self.head[1] & 0x7f, usize::from(self.head[1] >> 7) * 4);
        let more = match length {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.have < 2 + more + mask {
            return None;
        }
        let digits = self.head[2..2 + more].iter();
        let long = digits.fold(0, |number, byte| number << 8 | u64::from(*byte));
        Some(if more == 0 { length.into() } else { long })
    }
}

/// The way from a function to the client of its web socket, on which somebody may have to say goodbye.
#[derive(Clone, Debug, Default)]
pub(crate) struct Farewell {
    frames: Frames,
    stands: Stands,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stands {
    #[default]
    Stays,
    /// Goodbye is said behind the frame that is under way.
    Leaves,
    /// It was said: nothing may follow (RFC 6455 section 5.5.1).
    Said,
}

impl Farewell {
    /// Of a socket of which `first` has been passed already.
    pub(crate) fn after(first: &[u8]) -> Self {
        let mut this = Self::default();
        this.frames.advance(first);
        this
    }

    /// This end goes away.
    pub(crate) fn begin(&mut self) {
        if self.stands == Stands::Stays {
            self.stands = Stands::Leaves;
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.stands != Stands::Stays
    }

    /// How many of these bytes are passed on: all, up to the goodbye.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> usize {
        match self.stands {
            Stands::Stays => self.frames.advance(bytes),
            Stands::Leaves => return self.frames.advance_to_end(bytes).unwrap_or(bytes.len()),
            Stands::Said => return 0,
        }
        bytes.len()
    }

    /// The goodbye, in the one moment in which it is to be said: behind what was passed last.
    pub(crate) fn take(&mut self) -> Option<[u8; 4]> {
        let is_due = self.stands == Stands::Leaves && self.frames.is_between();
        is_due.then(|| {
            self.stands = Stands::Said;
            GOING_AWAY
        })
    }
}

/// When whoever holds a socket open is told that it ends: a while after its core began to drain.
pub(crate) fn goodbye_at(ticker: &Ticker) -> Option<Instant> {
    ticker.draining_since().map(|since| since + GRACE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame with so many bytes, perhaps masked.
    fn frame(length: usize, is_masked: bool) -> Vec<u8> {
        let mask = u8::from(is_masked) << 7;
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(mask | u8::try_from(length).expect("it is short")),
            126..65536 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).expect("it is that short").to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(std::iter::repeat_n(0xff, length + usize::from(is_masked) * 4));
        frame
    }

    proptest! {
        #[test]
        fn frames_end_where_they_end_however_they_are_read(
            frames in prop::collection::vec((prop_oneof![0..200_usize, 65_000..66_000_usize], any::<bool>()), 1..6),
            parts in prop::collection::vec(1..70_000_usize, 1..20),
        ) {
            let (mut bytes, mut ends) = (Vec::new(), vec![0]);
            for (length, is_masked) in frames {
                bytes.extend(frame(length, is_masked));
                ends.push(bytes.len());
            }
            let (mut known, mut at) = (Frames::default(), 0);
            for part in parts.into_iter().cycle() {
                prop_assert_eq!(known.is_between(), ends.contains(&at));
                let next = ends.iter().copied().find(|end| *end >= at).expect("the last is behind all");
                let piece = &bytes[at..(at + part).min(bytes.len())];
                let found = known.clone().advance_to_end(piece);
                prop_assert_eq!(found, (next - at <= piece.len()).then_some(next - at));
                known.advance(piece);
                at += piece.len();
                if at == bytes.len() {
                    break;
                }
            }
            prop_assert!(known.is_between());
        }
    }

    #[test]
    fn goodbye_is_said_once_between_two_frames_and_is_the_last_word() {
        let mut way = Farewell::after(&frame(3, false)[..2]);
        assert_eq!((way.pass(&[0xff]), way.take()), (1, None));
        way.begin();
        assert_eq!(way.take(), None, "two bytes of the first frame are still to come");
        let rest = [&[0xff; 2][..], &frame(9, false)].concat();
        assert_eq!((way.pass(&rest), way.take()), (2, Some(GOING_AWAY)));
        assert_eq!((way.pass(&rest), way.take()), (0, None));
        let mut quiet = Farewell::default();
        quiet.begin();
        assert_eq!(quiet.take(), Some(GOING_AWAY));
    }

    #[test]
    fn nonsense_is_passed_like_anything_else() {
        let mut frames = Frames::default();
        frames.advance(&[0xff; 64]);
        assert!(!frames.is_between(), "it is a frame of 2^64 - 1 bytes");
        frames.advance(&[0; 1000]);
        assert_eq!(frames.advance_to_end(&[0; 10]), None);
    }
}
