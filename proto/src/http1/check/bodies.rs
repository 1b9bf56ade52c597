//! Claims about bodies.

use super::super::*;

/// What came of a body, however it was fed.
type Outcome = (Vec<u8>, Vec<u8>, Result<bool, BodyError>);

/// Claims about a chunked body: pieces of any size mean the same, [`BodyDecoder::advance`] agrees with
/// [`BodyDecoder::next`], and a simpler decoder agrees with both.
pub fn chunked_body(data: &[u8]) {
    let at_once = pieces(data, data.len().max(1));
    for size in [1, 2, 3, 7, usize::from(data.first().copied().unwrap_or(0)) + 1] {
        assert_eq!(pieces(data, size), at_once, "in pieces of {size}");
        assert_eq!(advanced(data, size), at_once.2, "passed in pieces of {size}");
    }
    if let Ok(done) = at_once.2 {
        let simple = simple_decode(data);
        assert_eq!(done, simple.is_some(), "only one of two decoders found the end");
        if let Some((body, trailers)) = simple {
            assert_eq!((&at_once.0, &at_once.1), (&body, &trailers));
        }
    }
}

fn pieces(data: &[u8], size: usize) -> Outcome {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut body, mut section) = (Vec::new(), Vec::new());
    for part in data.chunks(size) {
        let mut at = 0;
        while at < part.len() {
            match decoder.next(&part[at..]) {
                Err(error) => {
                    assert_eq!(decoder.next(&part[at..]), Err(error), "an error was forgotten");
                    return (Vec::new(), Vec::new(), Err(error));
                }
                Ok(Piece::Done) => return (body, section, Ok(true)),
                Ok(Piece::NeedMore) => panic!("there was more"),
                Ok(Piece::Framing { len }) => at += len,
                Ok(Piece::Data { start, len }) => {
                    assert!(len > 0);
                    body.extend_from_slice(&part[at + start..at + start + len]);
                    at += start + len;
                }
                Ok(Piece::Trailers { len }) => {
                    section.extend_from_slice(&part[at..at + len]);
                    at += len;
                }
            }
        }
    }
    (body, section, Ok(decoder.is_done()))
}

fn advanced(data: &[u8], size: usize) -> Result<bool, BodyError> {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    for part in data.chunks(size) {
        let used = decoder.advance(part)?;
        assert!(used == part.len() || decoder.is_done());
    }
    Ok(decoder.is_done())
}

/// A decoder that wants the whole body at once, written for being right rather than fast.
fn simple_decode(mut data: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut body = Vec::new();
    loop {
        let line = next_line(&mut data)?;
        let digits = line.split(|&b| b == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(data.get(..size)?);
        data = data.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let section = data;
    while !next_line(&mut data)?.is_empty() {}
    Some((body, section[..section.len() - data.len() - 2].to_vec()))
}

fn next_line<'b>(data: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = data.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &data[..end];
    *data = &data[end + 2..];
    Some(line)
}
