//! What is told to the other end when it breaks a rule, or when a call ends before its time.

/// Why a connection cannot go on. The codes are those of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u16)]
pub enum LinkError {
    /// A payload longer than [`FRAME_BYTES`](super::FRAME_BYTES).
    #[error("a frame is larger than it may be")]
    FrameSize = 1,
    /// A kind that version 1 does not have.
    #[error("a frame of an unknown kind")]
    UnknownKind = 2,
    /// A flag that the kind does not have.
    #[error("a frame with an unknown flag")]
    BadFlags = 3,
    /// An id that is not one of an open or a past call, or not a new one where it should be.
    #[error("a frame about a call that cannot be")]
    BadCall = 4,
    /// A frame that only the other side sends.
    #[error("a frame that only the other side sends")]
    WrongSide = 5,
    /// No HELLO where one belongs, or one where none does.
    #[error("the greeting is out of place or malformed")]
    Hello = 6,
    /// Nothing that both speak.
    #[error("no common version of the link")]
    Version = 7,
    /// A payload that does not say what its kind says.
    #[error("a malformed payload")]
    BadPayload = 8,
    /// More than HELLO allowed.
    #[error("more calls at a time than were allowed")]
    TooManyCalls = 9,
    /// More questions than answers are read.
    #[error("answers are not read")]
    Flood = 10,
    /// Nothing came for too long.
    #[error("nothing was heard for too long")]
    Silence = 11,
    /// TLS on a link in plain text, or the reverse.
    #[error("one end encrypts the link, and the other one does not")]
    Encryption = 12,
}

impl LinkError {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 12] = [
        Self::FrameSize,
        Self::UnknownKind,
        Self::BadFlags,
        Self::BadCall,
        Self::WrongSide,
        Self::Hello,
        Self::Version,
        Self::BadPayload,
        Self::TooManyCalls,
        Self::Flood,
        Self::Silence,
        Self::Encryption,
    ];

    /// As it is sent.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The meaning of a code that was received; none for one of a later version.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.code() == code)
    }
}

/// Why a call ends before its answer is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Cancel {
    /// Whoever had asked has left.
    #[error("the caller has left")]
    Left = 1,
    /// The answer broke off.
    #[error("the answer broke off")]
    Cut = 2,
    /// It took too long.
    #[error("it took too long")]
    Clock = 3,
    /// The other end broke a rule about this call.
    #[error("a rule of the link was broken")]
    Protocol = 4,
    /// The program ends.
    #[error("the program is ending")]
    Stopping = 5,
}

impl Cancel {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 5] = [Self::Left, Self::Cut, Self::Clock, Self::Protocol, Self::Stopping];

    /// As it is sent.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The meaning of a code that was received.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

/// How the other end broke a rule about one call; answered by [`Cancel::Protocol`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// More DATA than there was credit for.
    #[error("more bytes than there was credit for")]
    OverCredit,
    /// DATA behind the end.
    #[error("bytes after the end")]
    AfterEnd,
    /// Credit that adds up to 2^31 or more.
    #[error("more credit than can be counted")]
    TooMuchCredit,
}
