//! HTTP/2 by hand (RFC 9113 section 4.1), for what no honest client sends.

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Section 6.5.2: nothing may be sent before a window is opened.
pub(crate) const INITIAL_WINDOW_0: [u8; 6] = [0, 4, 0, 0, 0, 0];

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames here are short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The fields of a request, by the static table and as literals (RFC 7541 sections 6.1 and 6.2.2).
pub(crate) fn head(method: &str, path: &str) -> Vec<u8> {
    let mut head = vec![0x86];
    for (index, value) in [(2, method), (4, path), (1, "test")] {
        head.push(index);
        text(&mut head, value);
    }
    head
}

/// A field that the other side keeps in its table (section 6.2.1): index 62 from then on.
pub(crate) fn kept(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0x40];
    text(&mut field, name);
    text(&mut field, value);
    field
}

/// Length as an integer with a prefix of seven bits (section 5.1), then the text.
fn text(out: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()).ok().filter(|length| *length < 127) {
        Some(length) => out.push(length),
        None => {
            out.push(127);
            let mut left = text.len() - 127;
            while left >= 128 {
                out.push(u8::try_from(left % 128).expect("below 128") | 128);
                left /= 128;
            }
            out.push(u8::try_from(left).expect("below 128"));
        }
    }
    out.extend_from_slice(text.as_bytes());
}
