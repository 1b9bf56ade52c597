//! Why a head or a body was refused.

/// Why a head is not acceptable. The connection cannot be used after any of these: where the next message begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// More bytes than the limit before the empty line.
    #[error("head is larger than {limit} bytes")]
    HeadTooLarge { limit: usize },
    /// More fields than the limit.
    #[error("head has more than {limit} fields")]
    TooManyFields { limit: usize },
    /// A field name of more than 255 bytes.
    #[error("field name is longer than 255 bytes")]
    FieldNameTooLong,
    /// The request target alone is larger than the limit.
    #[error("request target is longer than {limit} bytes")]
    TargetTooLong { limit: usize },
    /// A method longer than any that exists.
    #[error("method is longer than 32 bytes")]
    MethodTooLong,
    /// The method is not a token.
    #[error("method is not a token")]
    BadMethod,
    /// The request target has bytes that no URI has, or none of the allowed forms.
    #[error("request target is malformed")]
    BadTarget,
    /// `CONNECT`: we are a gateway, never a tunnel to a place that a client names.
    #[error("CONNECT is not offered")]
    Connect,
    /// The version is not `HTTP/` digit `.` digit.
    #[error("protocol version is malformed")]
    BadVersion,
    /// A well-formed version other than 1.0 and 1.1.
    #[error("protocol version is not 1.0 or 1.1")]
    UnsupportedVersion,
    /// The first bytes of HTTP/2 where HTTP/1 was expected.
    #[error("HTTP/2 preface on an HTTP/1 connection")]
    Http2Preface,
    /// A line that ends in a bare LF or holds a bare CR.
    #[error("a line does not end in CRLF")]
    BadLineEnd,
    /// Not a token before the colon: blank before the colon, folded line, no name, no colon.
    #[error("field name is malformed")]
    BadFieldName,
    /// NUL, bare CR or another control byte in a value.
    #[error("field value has a control byte")]
    BadFieldValue,
    /// HTTP/1.1 without `Host`.
    #[error("host is missing")]
    MissingHost,
    /// More than one `Host`.
    #[error("host is repeated")]
    RepeatedHost,
    /// `Host` or the authority of the target is not a host with an optional port.
    #[error("host is malformed")]
    BadHost,
    /// `Content-Length` is not a plain decimal number below 2^63.
    #[error("content length is malformed")]
    BadLength,
    /// More than one `Content-Length`, equal ones included.
    #[error("content length is repeated")]
    RepeatedLength,
    /// `Content-Length` and `Transfer-Encoding` in one head.
    #[error("content length beside transfer encoding")]
    LengthAndEncoding,
    /// `Transfer-Encoding` is not exactly `chunked`.
    #[error("transfer encoding is not exactly chunked")]
    BadEncoding,
    /// More than one `Transfer-Encoding`.
    #[error("transfer encoding is repeated")]
    RepeatedEncoding,
    /// A registered coding applied below `chunked`.
    #[error("transfer coding is not supported")]
    UnsupportedEncoding,
    /// `Transfer-Encoding` in an HTTP/1.0 message.
    #[error("transfer encoding in HTTP/1.0")]
    EncodingInHttp10,
    /// `Connection` is not a list of tokens, or nominates too many fields.
    #[error("connection field is malformed")]
    BadConnection,
    /// `Connection` names `Host`, `Content-Length` or `Transfer-Encoding`.
    #[error("connection field nominates a framing or routing field")]
    NominatedFraming,
    /// An upgrade is asked for with a repeated or malformed `Upgrade`.
    #[error("upgrade field is malformed")]
    BadUpgrade,
    /// An expectation other than `100-continue`.
    #[error("expectation is not 100-continue")]
    UnknownExpectation,
    /// A `TRACE` request with a body.
    #[error("TRACE with a body")]
    ContentInTrace,
    /// The status line of a response is malformed.
    #[error("status line is malformed")]
    BadStatus,
}

impl HeadError {
    /// The status for the client whose *request* head was refused. A refused response head is a `502` whatever the variant.
    pub fn status(&self) -> u16 {
        match self {
            Self::HeadTooLarge { .. } | Self::TooManyFields { .. } | Self::FieldNameTooLong => 431,
            Self::TargetTooLong { .. } => 414,
            Self::MethodTooLong | Self::Connect | Self::UnsupportedEncoding => 501,
            Self::UnsupportedVersion | Self::Http2Preface => 505,
            Self::UnknownExpectation => 417,
            Self::BadStatus => 502,
            Self::BadMethod
            | Self::BadTarget
            | Self::BadVersion
            | Self::BadLineEnd
            | Self::BadFieldName
            | Self::BadFieldValue
            | Self::MissingHost
            | Self::RepeatedHost
            | Self::BadHost
            | Self::BadLength
            | Self::RepeatedLength
            | Self::LengthAndEncoding
            | Self::BadEncoding
            | Self::RepeatedEncoding
            | Self::EncodingInHttp10
            | Self::BadConnection
            | Self::NominatedFraming
            | Self::BadUpgrade
            | Self::ContentInTrace => 400,
        }
    }

    /// A stable name for metrics and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HeadTooLarge { .. } => "head-too-large",
            Self::TooManyFields { .. } => "too-many-fields",
            Self::FieldNameTooLong => "field-name-too-long",
            Self::TargetTooLong { .. } => "target-too-long",
            Self::MethodTooLong => "method-too-long",
            Self::BadMethod => "bad-method",
            Self::BadTarget => "bad-target",
            Self::Connect => "connect",
            Self::BadVersion => "bad-version",
            Self::UnsupportedVersion => "unsupported-version",
            Self::Http2Preface => "http2-preface",
            Self::BadLineEnd => "bad-line-end",
            Self::BadFieldName => "bad-field-name",
            Self::BadFieldValue => "bad-field-value",
            Self::MissingHost => "missing-host",
            Self::RepeatedHost => "repeated-host",
            Self::BadHost => "bad-host",
            Self::BadLength => "bad-length",
            Self::RepeatedLength => "repeated-length",
            Self::LengthAndEncoding => "length-and-encoding",
            Self::BadEncoding => "bad-encoding",
            Self::RepeatedEncoding => "repeated-encoding",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::EncodingInHttp10 => "encoding-in-http10",
            Self::BadConnection => "bad-connection",
            Self::NominatedFraming => "nominated-framing",
            Self::BadUpgrade => "bad-upgrade",
            Self::UnknownExpectation => "unknown-expectation",
            Self::ContentInTrace => "content-in-trace",
            Self::BadStatus => "bad-status",
        }
    }
}

/// Why a body is not acceptable. What was already forwarded must be aborted, never finished with an invented last chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A chunk size is not 1 to 16 hex digits, or not below 2^63.
    #[error("chunk size is malformed")]
    BadChunkSize,
    /// A chunk extension outside RFC 9112 7.1.1, or with the blanks that it calls bad.
    #[error("chunk extension is malformed")]
    BadChunkExtension,
    /// Chunk data is not followed by CRLF.
    #[error("chunk data is longer than its size")]
    BadChunkEnd,
    /// A bare LF or a bare CR in the framing.
    #[error("a framing line does not end in CRLF")]
    BadLineEnd,
    /// A trailer line is not a field line.
    #[error("trailer is malformed")]
    BadTrailer,
    /// A trailer named like a framing, routing, hop-by-hop or `hatchway-` field.
    #[error("trailer has a name that is not allowed in trailers")]
    ForbiddenTrailer,
    /// Extensions and trailers exceed [`FRAMING_OVERHEAD_BYTES`](super::FRAMING_OVERHEAD_BYTES).
    #[error("chunk extensions and trailers exceed 16 KiB")]
    TooMuchFraming,
    /// The connection ended before the message did.
    #[error("body ended early")]
    Truncated,
}

impl BodyError {
    /// The status for a client that can still be answered; a broken response body has no status.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooMuchFraming => 431,
            Self::BadChunkSize
            | Self::BadChunkExtension
            | Self::BadChunkEnd
            | Self::BadLineEnd
            | Self::BadTrailer
            | Self::ForbiddenTrailer
            | Self::Truncated => 400,
        }
    }

    /// A stable name for metrics and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadChunkSize => "bad-chunk-size",
            Self::BadChunkExtension => "bad-chunk-extension",
            Self::BadChunkEnd => "bad-chunk-end",
            Self::BadLineEnd => "bad-line-end",
            Self::BadTrailer => "bad-trailer",
            Self::ForbiddenTrailer => "forbidden-trailer",
            Self::TooMuchFraming => "too-much-framing",
            Self::Truncated => "truncated",
        }
    }
}
