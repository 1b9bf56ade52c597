//! Bad frames and what they are answered with, for our own tests and for those that send them over a socket.

use super::frame::kind;
use super::{
    AnswerHead, CallHead, FRAME_BYTES, Frame, Hello, LinkError, LoadSummary, Refusal, Side,
};
use crate::http1::Framing;

/// What one end is sent, and how it answers.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is wrong.
    pub claim: &'static str,
    /// Who is sent it.
    pub to: Side,
    /// All bytes, from the first of the connection.
    pub bytes: Vec<u8>,
    /// What the connection ends with.
    pub answer: LinkError,
}

/// A frame with whatever header.
fn raw(kind: u8, flags: u8, call: u64, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a case is short").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&call.to_be_bytes()[1..]);
    bytes.extend_from_slice(payload);
    bytes
}

fn encoded(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    bytes
}

/// A sound call, for what comes before the mistake.
pub fn sound_call(call: u64) -> Frame<'static> {
    let about = CallHead {
        function: "local/a",
        version: "0123456789abcdef",
        request_id: "r",
        framing: Framing::Chunked,
        is_head: false,
        wants_upgrade: false,
        is_grpc: false,
        is_choosy: false,
        file: None,
        credit: 65_536,
        deadline_ms: None,
    };
    Frame::Call { call, about, head: b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" }
}

/// A sound answer.
pub fn sound_answer(call: u64) -> Frame<'static> {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let about =
        AnswerHead { status: 200, framing: Framing::Length(2), head_bytes: bytes.len() - 2 };
    Frame::Answer { call, end: true, about, bytes }
}

/// The payload of [`sound_call`].
fn call_payload() -> Vec<u8> {
    encoded(&[sound_call(1)]).split_off(super::HEADER_BYTES)
}

/// All cases.
pub fn all() -> Vec<Case> {
    let mut cases = greetings();
    cases.extend(headers());
    cases.extend(payloads());
    cases.extend(order());
    cases
}

fn greetings() -> Vec<Case> {
    let hello = Hello::of_gateway(1);
    let case = |claim, bytes, answer| Case { claim, to: Side::Node, bytes, answer };
    let later = Hello { lowest: hello.highest + 1, highest: 9, ..hello };
    let earlier = Hello { lowest: 1, highest: 1, ..hello };
    let mut other_magic = encoded(&[Frame::Hello(hello)]);
    other_magic[super::HEADER_BYTES] = b'X';
    vec![
        case("a first frame that is no greeting", encoded(&[Frame::Ping(1)]), LinkError::Hello),
        case("a greeting of another protocol", other_magic, LinkError::Hello),
        case("a request of HTTP/1.1", b"GET / HTTP/1.1\r\n\r\n".to_vec(), LinkError::FrameSize),
        case("only later versions", encoded(&[Frame::Hello(later)]), LinkError::Version),
        case("only an earlier version", encoded(&[Frame::Hello(earlier)]), LinkError::Version),
        case("a short greeting", raw(kind::HELLO, 0, 0, b"HWLK\0\x01"), LinkError::BadPayload),
        case(
            "a second greeting",
            encoded(&[Frame::Hello(hello), Frame::Hello(hello)]),
            LinkError::Hello,
        ),
    ]
}

/// After a sound greeting.
fn greeted(claim: &'static str, to: Side, bytes: Vec<u8>, answer: LinkError) -> Case {
    let hello = match to {
        Side::Node => Hello::of_gateway(1),
        Side::Gateway => Hello::of_node(2, 65_536, 100),
    };
    let bytes = [encoded(&[Frame::Hello(hello)]), bytes].concat();
    Case { claim, to, bytes, answer }
}

fn headers() -> Vec<Case> {
    let long = u32::try_from(FRAME_BYTES + 1).expect("it fits").to_be_bytes();
    let mut too_long = raw(kind::DATA, 0, 1, b"");
    too_long[..3].copy_from_slice(&long[1..]);
    let node = |claim, bytes, answer| greeted(claim, Side::Node, bytes, answer);
    vec![
        node("a frame that is too long", too_long, LinkError::FrameSize),
        node("an unknown kind", raw(99, 0, 0, b""), LinkError::UnknownKind),
        node("kind zero", raw(0, 0, 0, b""), LinkError::UnknownKind),
        node("an unknown flag", raw(kind::DATA, 2, 1, b""), LinkError::BadFlags),
        node("a drain with an unknown flag", raw(kind::DRAIN, 2, 0, b""), LinkError::BadFlags),
        node("a flag where none is", raw(kind::PING, 1, 0, &[0; 8]), LinkError::BadFlags),
        node("data of no call", raw(kind::DATA, 0, 0, b"x"), LinkError::BadCall),
        node("a ping of a call", raw(kind::PING, 0, 1, &[0; 8]), LinkError::BadCall),
    ]
}

fn payloads() -> Vec<Case> {
    let bad = |claim, kind, flags, call, payload: &[u8]| {
        greeted(claim, Side::Node, raw(kind, flags, call, payload), LinkError::BadPayload)
    };
    let of_node = |claim, kind, call, payload: &[u8]| {
        greeted(claim, Side::Gateway, raw(kind, 0, call, payload), LinkError::BadPayload)
    };
    let sound = call_payload();
    let changed = |at: usize, byte: u8| {
        let mut payload = sound.clone();
        payload[at] = byte;
        payload
    };
    let told = |status: u16, head_bytes: u32, head: &[u8]| {
        let framing = [0; 9];
        [&status.to_be_bytes()[..], &framing, &head_bytes.to_be_bytes(), head].concat()
    };
    let ok = b"HTTP/1.1 200 OK\r\n\r\n";
    let no_credit = [&sound[..9], &[0; 4], &sound[13..]].concat();
    vec![
        bad("credit of three bytes", kind::CREDIT, 0, 1, &[0; 3]),
        bad("no credit", kind::CREDIT, 0, 1, &[0; 4]),
        bad("a cancel without a reason", kind::CANCEL, 0, 1, b""),
        bad("a cancel for an unknown reason", kind::CANCEL, 0, 1, &[77]),
        bad("a ping of nine bytes", kind::PING, 0, 0, &[0; 9]),
        bad("a drain with a payload", kind::DRAIN, 0, 0, b"x"),
        bad("an error without a code", kind::ERROR, 0, 0, b"\0"),
        bad("an error that is no text", kind::ERROR, 0, 0, b"\0\x01\xff"),
        bad("an empty call", kind::CALL, 0, 1, b""),
        bad("an unknown framing", kind::CALL, 0, 1, &changed(0, 3)),
        bad("a length of no body", kind::CALL, 0, 1, &changed(8, 1)),
        bad("an answer without credit", kind::CALL, 0, 1, &no_credit),
        bad("a name that leads out of the frame", kind::CALL, 0, 1, &changed(17, 255)),
        bad("a name that is no text", kind::CALL, 0, 1, &changed(18, 0xff)),
        bad("a head without an end", kind::CALL, 0, 1, &sound[..sound.len() - 1]),
        bad("a file request that is missing", kind::CALL, 4, 1, &sound),
        of_node("a refusal without a reason", kind::REFUSED, 1, b""),
        of_node("an answer of nothing", kind::ANSWER, 1, b""),
        of_node("an interim answer that is told of", kind::ANSWER, 1, &told(103, 19, ok)),
        of_node("a head that leads out of the frame", kind::ANSWER, 1, &told(200, 20, ok)),
        of_node("a head that ends before it does", kind::ANSWER, 1, &told(200, 17, ok)),
        of_node("a head of another protocol", kind::ANSWER, 1, &told(200, 4, b"\r\n\r\n")),
        of_node("a load of eleven bytes", kind::LOAD, 0, &[0; 11]),
        of_node("a load of thirteen bytes", kind::LOAD, 0, &[0; 13]),
    ]
}

fn order() -> Vec<Case> {
    let node =
        |claim, frames: &[Frame<'_>], answer| greeted(claim, Side::Node, encoded(frames), answer);
    let data = Frame::Data { call: 5, end: false, bytes: b"x" };
    let refused =
        Frame::Refused { call: 1, refusal: Refusal { elsewhere: true, reason: "r", answer: b"" } };
    let gateway = |claim, frames: &[Frame<'_>], answer| {
        greeted(claim, Side::Gateway, encoded(frames), answer)
    };
    vec![
        node("the same id twice", &[sound_call(3), sound_call(3)], LinkError::BadCall),
        node("an id that descends", &[sound_call(3), sound_call(2)], LinkError::BadCall),
        node("data of a call to come", &[sound_call(3), data], LinkError::BadCall),
        node("a refusal by a gateway", &[sound_call(1), refused], LinkError::WrongSide),
        node("a load of a gateway", &[Frame::Load(LoadSummary::default())], LinkError::WrongSide),
        node("an answer of a gateway", &[sound_call(1), sound_answer(1)], LinkError::WrongSide),
        gateway("an answer to nobody", &[sound_answer(5)], LinkError::BadCall),
        gateway("a call of a node", &[sound_call(1)], LinkError::WrongSide),
        gateway("data of a call that nobody opened", &[data], LinkError::BadCall),
    ]
}
