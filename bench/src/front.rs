//! How clients speak to whoever is measured.

/// A way to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// HTTP/1.1.
    Plain,
    /// HTTP/1.1, so many requests a second on each connection, however long the answers take.
    Paced { rate: u32 },
    /// HTTP/2 by prior knowledge, with so many streams on each connection.
    Http2 { streams: u32 },
    /// HTTP/1.1 over TLS.
    Tls,
    /// The same, and every connection resumes an earlier session.
    TlsResumed,
}

impl Front {
    /// Clients and gateway encrypt.
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::TlsResumed)
    }
}
