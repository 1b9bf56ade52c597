//! Answers that we give ourselves.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write as _;

use hatchway_proto::http1::Version;

/// A whole answer, head and body.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Fields beside `content-length` and `connection`; values are safe already.
    pub fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// What follows the head.
    pub body: Body,
    /// Close the connection afterwards, whatever the client wanted.
    pub close: bool,
}

/// The body of an [`Answer`].
#[derive(Debug)]
pub enum Body {
    /// In memory.
    Bytes(Vec<u8>),
    /// A part of a file, read as the client takes it.
    File {
        /// Open for reading.
        file: File,
        /// First byte.
        offset: u64,
        /// How many.
        len: u64,
    },
}

impl Answer {
    /// An answer without fields.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, fields: Vec::new(), body: Body::Bytes(body.into()), close: false }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Ends the connection after the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// How long the body is.
    pub fn len(&self) -> u64 {
        match &self.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File { len, .. } => *len,
        }
    }

    /// True when there is no body.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when no body follows the head, whatever there is (RFC 9110 sections 15.3.5 and 15.4.5).
    pub(super) fn is_bodiless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    /// Writes the head.
    pub(super) fn write_head(&self, out: &mut Vec<u8>, version: Version, keep_alive: bool) {
        let infallible = "a vector takes every write";
        write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).expect(infallible);
        for (name, value) in &self.fields {
            write!(out, "{name}: {value}\r\n").expect(infallible);
        }
        if !self.is_bodiless() {
            write!(out, "content-length: {}\r\n", self.len()).expect(infallible);
        }
        match (version, keep_alive) {
            (Version::Http11, true) => {}
            (Version::Http10, true) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            (_, false) => out.extend_from_slice(b"connection: close\r\n"),
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The standard reason phrase, empty where there is none (RFC 9112 section 4 allows that).
fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("")
}
