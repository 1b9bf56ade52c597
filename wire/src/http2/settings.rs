//! What an HTTP/2 connection may take beyond what any connection may, each with its reason.

use h2::server::Builder;

/// Limits of a connection and its streams.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Requests that run at a time. 100 is the least that RFC 9113 section 6.5.2 recommends.
    pub streams: u32,
    /// Bytes of a head, counted as RFC 9113 section 6.5.2 does: name, value and 32 a field, after decompression.
    pub head_bytes: u32,
    /// Bytes of a request body that a client may send before its function has taken any: what a stream buffers.
    pub stream_window: u32,
    /// The same for all streams of a connection together.
    pub connection_window: u32,
    /// Bytes of an answer that wait for the client, a stream, beyond those in the stream's own buffer.
    pub send_buffer: usize,
    /// Streams that a client opened and reset before they were looked at (rapid reset, CVE-2023-44487).
    pub resets_unseen: usize,
    /// Streams that the client made us reset (MadeYouReset, CVE-2025-8671).
    pub resets_of_ours: usize,
    /// Requests that were reset by the client, less those that ended well. One more ends the connection.
    pub cancels: u32,
    /// Frames that bring nothing: pings, settings, priorities, empty data, updates of windows that we did not use, frames
    /// of no known kind. One more ends the connection.
    pub glitches: u32,
    /// How many of them are forgotten a second.
    pub glitches_per_second: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            streams: 100,
            // As large as a head over HTTP/1.1 may be.
            head_bytes: 64 * 1024,
            // What one turn of the relay moves: more would wait in memory rather than in the network.
            stream_window: 64 * 1024,
            // Sixteen uploads at full pace, while the slow ones hold what is theirs.
            connection_window: 1024 * 1024,
            send_buffer: 64 * 1024,
            // A browser that is closed resets what it has; it does not do so a hundred times in one packet.
            resets_unseen: 20,
            resets_of_ours: 100,
            // Every stream of a page that was left, twice over.
            cancels: 200,
            // A browser begins with a dozen, and a client of gRPC pings for every piece of data that it reads.
            glitches: 1000,
            // More than a keep-alive and a change of settings in every round trip on a fast line.
            glitches_per_second: 100,
        }
    }
}

impl Settings {
    /// The same, as the `h2` crate wants it.
    pub(super) fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder
            // Web sockets (RFC 8441).
            .enable_connect_protocol()
            .max_concurrent_streams(self.streams)
            .max_header_list_size(self.head_bytes)
            .initial_window_size(self.stream_window)
            .initial_connection_window_size(self.connection_window)
            .max_send_buffer_size(self.send_buffer)
            .max_pending_accept_reset_streams(self.resets_unseen)
            .max_local_error_reset_streams(Some(self.resets_of_ours));
        builder
    }
}
