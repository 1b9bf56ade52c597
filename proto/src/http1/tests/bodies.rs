//! Bodies: fed whole, byte by byte, and cut at every place.

use super::super::*;

/// Data and trailers of a chunked body.
fn decode(mut bytes: &[u8], at_once: usize) -> Result<(Vec<u8>, Vec<u8>, bool), BodyError> {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut data, mut trailers) = (Vec::new(), Vec::new());
    while !bytes.is_empty() && !decoder.is_done() {
        let window = &bytes[..bytes.len().min(at_once)];
        let used = match decoder.next(window)? {
            Piece::Framing { len } => len,
            Piece::Data { start, len } => {
                data.extend_from_slice(&window[start..start + len]);
                start + len
            }
            Piece::Trailers { len } => {
                trailers.extend_from_slice(&window[..len]);
                len
            }
            Piece::NeedMore | Piece::Done => panic!("input is left"),
        };
        assert!(used > 0);
        bytes = &bytes[used..];
    }
    Ok((data, trailers, decoder.is_done()))
}

const GOOD: &[(&[u8], &[u8], &[u8])] = &[
    (b"0\r\n\r\n", b"", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    (b"5\r\nhello\r\n6;a=b;c=\"d;\\\"e\"\r\n world\r\n000\r\n\r\n", b"hello world", b""),
    (b"A\r\n0123456789\r\n0;last\r\nX: 1\r\nY:\r\n\r\n", b"0123456789", b"X: 1\r\nY:\r\n"),
];

#[test]
fn good_bodies_decode_alike_however_they_are_cut() {
    for &(bytes, data, trailers) in GOOD {
        for at_once in 1..=bytes.len() {
            assert_eq!(decode(bytes, at_once), Ok((data.to_vec(), trailers.to_vec(), true)));
        }
        for cut in 0..bytes.len() {
            let mut decoder = BodyDecoder::new(Framing::Chunked);
            assert_eq!(decoder.advance(&bytes[..cut]), Ok(cut));
            assert_eq!(decoder.end_of_input(), Err(BodyError::Truncated));
        }
    }
}

#[test]
fn the_next_message_is_left_alone() {
    for &(bytes, ..) in GOOD {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        assert_eq!(decoder.advance(&[bytes, b"GET / HTTP/1.1\r\n"].concat()), Ok(bytes.len()));
        assert!(decoder.is_done());
        assert_eq!(decoder.next(b"GET"), Ok(Piece::Done));
    }
}

#[test]
fn broken_framing_is_refused_however_it_is_cut() {
    for (bytes, error) in [
        (&b"\r\n"[..], BodyError::BadChunkSize),
        (b" 5\r\n", BodyError::BadChunkSize),
        (b"5 \r\n", BodyError::BadChunkSize),
        (b"0x5\r\n", BodyError::BadChunkSize),
        (b"-5\r\n", BodyError::BadChunkSize),
        (b"+5\r\n", BodyError::BadChunkSize),
        (b"5_0\r\n", BodyError::BadChunkSize),
        (b"8000000000000000\r\n", BodyError::BadChunkSize),
        (b"10000000000000005\r\n", BodyError::BadChunkSize),
        (b"00000000000000005\r\n", BodyError::BadChunkSize),
        (b";a\r\n", BodyError::BadChunkSize),
        (b"5\n", BodyError::BadLineEnd),
        (b"5\rX", BodyError::BadLineEnd),
        (b"5;\r\n", BodyError::BadChunkExtension),
        (b"5;a=\r\n", BodyError::BadChunkExtension),
        (b"5; a\r\n", BodyError::BadChunkExtension),
        (b"5;a\n", BodyError::BadLineEnd),
        (b"5;a=\"b\nc\"\r\n", BodyError::BadLineEnd),
        (b"5;a=\"b\rc\"\r\n", BodyError::BadChunkExtension),
        (b"5;a\rb\r\n", BodyError::BadLineEnd),
        (b"1\r\nab", BodyError::BadChunkEnd),
        (b"1\r\na\n", BodyError::BadChunkEnd),
        (b"1\r\na\rb", BodyError::BadChunkEnd),
        (b"0\r\n\n", BodyError::BadLineEnd),
        (b"0\r\n\rX", BodyError::BadLineEnd),
        (b"0\r\nX : 1\r\n", BodyError::BadTrailer),
        (b"0\r\nX: 1\n", BodyError::BadLineEnd),
        (b"0\r\nX: 1\r\n folded", BodyError::BadTrailer),
        (b"0\r\nX\r\n", BodyError::BadTrailer),
        (b"0\r\n: 1\r\n", BodyError::BadTrailer),
        (b"0\r\nX: \0\r\n", BodyError::BadTrailer),
        (b"0\r\nContent-Length: 1\r\n", BodyError::ForbiddenTrailer),
        (b"0\r\nHATCHWAY_node: 1\r\n", BodyError::ForbiddenTrailer),
    ] {
        for at_once in 1..=bytes.len() {
            assert_eq!(
                decode(bytes, at_once),
                Err(error),
                "{:?}",
                bytes.escape_ascii().to_string()
            );
        }
    }
}

#[test]
fn extensions_and_trailers_share_one_allowance() {
    let extensions = b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(1000);
    assert_eq!(decode(&extensions, usize::MAX), Err(BodyError::TooMuchFraming));
    let trailers = [&b"0\r\n"[..], &b"x: y\r\n".repeat(4000)].concat();
    assert_eq!(decode(&trailers, usize::MAX), Err(BodyError::TooMuchFraming));
}

#[test]
fn a_declared_length_is_followed_to_its_last_byte() {
    let mut decoder = BodyDecoder::new(Framing::Length(10));
    assert_eq!(decoder.next(b"abc"), Ok(Piece::Data { start: 0, len: 3 }));
    assert_eq!((decoder.remaining(), decoder.data_ahead()), (Some(7), 7));
    decoder.skip(4);
    assert_eq!(decoder.advance(b"hijGET"), Ok(3));
    assert!(decoder.is_done());
    assert_eq!(decoder.end_of_input(), Ok(()));
    let mut decoder = BodyDecoder::new(Framing::Length(1));
    assert_eq!(decoder.end_of_input(), Err(BodyError::Truncated));
    assert_eq!(decoder.advance(b"a"), Err(BodyError::Truncated));
}

#[test]
fn a_body_until_close_ends_only_there() {
    let mut decoder = BodyDecoder::new(Framing::UntilClose);
    assert_eq!(decoder.advance(b"abc"), Ok(3));
    assert!(!decoder.is_done());
    assert_eq!(decoder.end_of_input(), Ok(()));
    assert!(decoder.is_done());
}
