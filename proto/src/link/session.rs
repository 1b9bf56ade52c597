//! Which frame may come when: the rules of a connection, apart from credit.

use super::{Frame, Hello, LinkError};

/// Which end of a link a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Connects, and opens calls.
    Gateway,
    /// Listens, and answers them.
    Node,
}

/// What one end knows of the order of frames.
#[derive(Clone, Debug)]
pub struct Session {
    side: Side,
    ours: Hello,
    theirs: Option<Hello>,
    /// The newest call that was opened, by whichever side opens them.
    newest: u64,
}

impl Session {
    /// Before anything was received. `ours` is what this end says.
    pub fn new(side: Side, ours: Hello) -> Self {
        Self { side, ours, theirs: None, newest: 0 }
    }

    /// What the other end has said of itself, once it has.
    pub fn peer(&self) -> Option<&Hello> {
        self.theirs.as_ref()
    }

    /// The id of the next call that a gateway opens.
    ///
    /// # Panics
    /// On the side of a node, and after 2^56 calls, which is 22 years at a hundred million a second.
    pub fn open(&mut self) -> u64 {
        assert!(self.side == Side::Gateway && self.newest < (1 << 56) - 1);
        self.newest += 1;
        self.newest
    }

    /// Checks that `frame` may come now, and remembers what it changes.
    ///
    /// # Errors
    /// What the other end is told before the connection is closed.
    #[inline]
    pub fn receive(&mut self, frame: &Frame<'_>) -> Result<(), LinkError> {
        if self.theirs.is_none() {
            return self.greet(frame);
        }
        match (frame, self.side) {
            (Frame::Hello(_), _) => Err(LinkError::Hello),
            (Frame::Call { call, .. }, Side::Node) => {
                if *call <= self.newest {
                    return Err(LinkError::BadCall);
                }
                self.newest = *call;
                Ok(())
            }
            (Frame::Call { .. }, Side::Gateway)
            | (Frame::Refused { .. } | Frame::Answer { .. } | Frame::Load(_), Side::Node) => {
                Err(LinkError::WrongSide)
            }
            (
                Frame::Data { call, .. }
                | Frame::Answer { call, .. }
                | Frame::Credit { call, .. }
                | Frame::Cancel { call, .. }
                | Frame::Refused { call, .. },
                _,
            ) => {
                if *call > self.newest {
                    return Err(LinkError::BadCall);
                }
                Ok(())
            }
            (
                Frame::Load(_)
                | Frame::Drain { .. }
                | Frame::Ping(_)
                | Frame::Pong(_)
                | Frame::Error { .. },
                _,
            ) => Ok(()),
        }
    }

    fn greet(&mut self, frame: &Frame<'_>) -> Result<(), LinkError> {
        match frame {
            Frame::Hello(theirs) => {
                self.ours.common_version(theirs)?;
                self.theirs = Some(*theirs);
                Ok(())
            }
            // Why it will not talk to us.
            Frame::Error { .. } => Ok(()),
            _ => Err(LinkError::Hello),
        }
    }
}
