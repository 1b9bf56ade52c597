//! Chunks that we make ourselves, for a body that arrived in another framing.

/// Follows the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends the size line for `len` bytes of data, which must be at least one: a chunk of zero ends the body.
pub fn write_chunk_head(out: &mut Vec<u8>, len: u64) {
    debug_assert!(len > 0, "a chunk of zero bytes ends the body");
    let digits = (64 - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (len >> (4 * place)) & 0xf;
        out.push(b"0123456789abcdef"[digit as usize]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk with trailers: a section as [`BodyDecoder`](super::BodyDecoder) passed it, or written anew, in
/// either case whole lines that end in CRLF.
pub fn write_last_chunk(out: &mut Vec<u8>, section: &[u8]) {
    debug_assert!(section.is_empty() || section.ends_with(b"\r\n"), "a trailer line ends in CRLF");
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(section);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_hex_without_leading_zeros() {
        for len in [
            1,
            9,
            10,
            15,
            16,
            255,
            256,
            4096,
            0x00ff_ffff,
            u64::from(u32::MAX),
            i64::MAX as u64,
            u64::MAX,
        ] {
            let mut out = Vec::new();
            write_chunk_head(&mut out, len);
            assert_eq!(out, format!("{len:x}\r\n").into_bytes());
        }
    }
}
