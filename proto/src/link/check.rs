//! What holds for any bytes, as functions that property tests and fuzz targets share.

use super::{Frame, Hello, LinkError, Session, Side};

/// What came of a stream of bytes: each frame as it is written anew, and the error that ended it.
type Outcome = (Vec<Vec<u8>>, Option<LinkError>);

/// Claims about any bytes: pieces of any size give the same frames and the same error, what is read is written back as it
/// was, and both sides answer the frames by going on or by a defined error.
pub fn link_frames(data: &[u8]) {
    let at_once = in_pieces(data, data.len().max(1));
    for size in [1, 2, 11, 13, usize::from(data.first().copied().unwrap_or(0)) + 1] {
        assert_eq!(in_pieces(data, size), at_once, "in pieces of {size}");
    }
    for side in [Side::Gateway, Side::Node] {
        in_order(side, data);
    }
}

fn in_pieces(data: &[u8], size: usize) -> Outcome {
    let (mut frames, mut ahead) = (Vec::new(), Vec::new());
    for piece in data.chunks(size) {
        ahead.extend_from_slice(piece);
        let mut used = 0;
        loop {
            match Frame::decode(&ahead[used..]) {
                Ok(None) => break,
                Ok(Some((frame, length))) => {
                    frames.push(written(&frame, &ahead[used..used + length]));
                    used += length;
                }
                Err(error) => return (frames, Some(error)),
            }
        }
        ahead.drain(..used);
    }
    (frames, None)
}

/// The frame as it is written; the same as it was read, but for what a later version added to its greeting.
fn written(frame: &Frame<'_>, read: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    if !matches!(frame, Frame::Hello(_)) {
        assert_eq!(bytes, read);
    }
    bytes
}

fn in_order(side: Side, data: &[u8]) {
    let mut session = Session::new(side, Hello::of_gateway(1));
    let (mut at, mut newest) = (0, 0);
    while let Ok(Some((frame, length))) = Frame::decode(&data[at..]) {
        at += length;
        if session.receive(&frame).is_err() {
            return;
        }
        assert!(session.peer().is_some() || matches!(frame, Frame::Error { .. }));
        if let Frame::Call { call, .. } = frame {
            assert!(call > newest && side == Side::Node);
            newest = call;
        }
    }
}
