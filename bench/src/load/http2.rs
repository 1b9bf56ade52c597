//! The least of HTTP/2 (RFC 9113) that asks and hears the end: heads without a dynamic table, frames that are
//! looked at for their flags only.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::error::{BenchError, During as _, Result};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// All that a connection may be given at once, beyond what it begins with (section 6.9).
const WIDE: u32 = 0x7fff_ffff - 65_535;

/// A connection.
#[derive(Debug)]
pub(crate) struct Http2 {
    stream: TcpStream,
    next_id: u32,
}

impl Http2 {
    /// Says that this is HTTP/2, and that answers are welcome.
    pub(crate) fn begin(mut stream: TcpStream) -> Result<Self> {
        let mut first = PREFACE.to_vec();
        first.extend(frame(SETTINGS, 0, 0, &[]));
        first.extend(frame(WINDOW_UPDATE, 0, 0, &WIDE.to_be_bytes()));
        stream.write_all(&first).during("begin HTTP/2")?;
        Ok(Self { stream, next_id: 1 })
    }

    /// Opens `count` streams in one write.
    pub(crate) fn ask(&mut self, path: &str, count: usize) -> Result<()> {
        // `:method: GET` and `:scheme: http` by index; `:path` and `:authority` as they are (RFC 7541, 6.1 and 6.2.2).
        let mut head = vec![0x82, 0x86];
        for (index, value) in [(0x04, path), (0x01, "bench")] {
            head.push(index);
            head.push(u8::try_from(value.len()).expect("paths of ours are short"));
            head.extend_from_slice(value.as_bytes());
        }
        let mut frames = Vec::new();
        for _ in 0..count {
            frames.extend(frame(HEADERS, END_STREAM | END_HEADERS, self.next_id, &head));
            self.next_id += 2;
        }
        self.stream.write_all(&frames).during("open streams")
    }

    /// Reads until `count` streams have ended.
    ///
    /// # Errors
    /// When one is reset, or the connection ends.
    pub(crate) fn answers(&mut self, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let (kind, flags, payload) = self.frame()?;
            match (kind, flags) {
                (HEADERS | DATA, flags) if flags & END_STREAM != 0 => left -= 1,
                (SETTINGS, 0) => self.send(SETTINGS, &[])?,
                (PING, 0) => self.send(PING, &payload)?,
                (RST_STREAM | GOAWAY, _) => {
                    let text = format!("a frame of kind {kind}: {payload:?}");
                    return Err(BenchError::Unexpected { what: "an answer", text });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The connection with nothing left to read: whatever the other side still has to say at its beginning was said
    /// before the answer to a ping.
    pub(crate) fn into_stream(mut self) -> Result<TcpStream> {
        self.stream.write_all(&frame(PING, 0, 0, &[0; 8])).during("send a ping")?;
        loop {
            let (kind, flags, _) = self.frame()?;
            match (kind, flags) {
                (PING, ACK) => return Ok(self.stream),
                (SETTINGS, 0) => self.send(SETTINGS, &[])?,
                _ => {}
            }
        }
    }

    fn frame(&mut self) -> Result<(u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).during("read a frame")?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("24 bits")];
        self.stream.read_exact(&mut payload).during("read a frame")?;
        Ok((head[3], head[4], payload))
    }

    fn send(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        self.stream.write_all(&frame(kind, ACK, 0, payload)).during("acknowledge a frame")
    }
}

/// Section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames of ours are short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
