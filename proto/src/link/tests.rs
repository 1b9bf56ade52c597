//! Properties of the codec and of the order of frames.

use proptest::prelude::*;

use super::cases;
use super::check::link_frames;
use super::*;
use crate::http1::Framing;

/// The head of an answer.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// A frame that owns what it is made of.
#[derive(Clone, Debug)]
enum Owned {
    Hello(Hello),
    Call {
        call: u64,
        names: [String; 3],
        file: Option<[String; 3]>,
        framing: Framing,
        bits: u8,
        credit: u32,
        deadline_ms: u32,
    },
    Answer {
        call: u64,
        end: bool,
        status: u16,
        framing: Framing,
        bytes: Vec<u8>,
    },
    Data {
        call: u64,
        end: bool,
        bytes: Vec<u8>,
    },
    Credit {
        call: u64,
        bytes: u32,
    },
    Cancel {
        call: u64,
        reason: Cancel,
    },
    Refused {
        call: u64,
        elsewhere: bool,
        reason: String,
        answer: Vec<u8>,
    },
    Load(LoadSummary),
    Drain {
        heir: bool,
    },
    Ping(u64),
    Pong(u64),
    Error {
        code: u16,
        text: String,
    },
}

impl Owned {
    fn frame(&self) -> Frame<'_> {
        match self {
            Self::Hello(hello) => Frame::Hello(*hello),
            Self::Call {
                call,
                names: [function, version, request_id],
                file,
                framing,
                bits,
                credit,
                deadline_ms,
            } => {
                let file = file.as_ref().map(|[path, if_none_match, range]| FileRequest {
                    path,
                    if_none_match,
                    range,
                });
                let about = CallHead {
                    function,
                    version,
                    request_id,
                    framing: *framing,
                    is_head: bits & 1 != 0,
                    wants_upgrade: bits & 2 != 0,
                    is_grpc: bits & 4 != 0,
                    is_choosy: bits & 8 != 0,
                    file,
                    credit: *credit,
                    deadline_ms: std::num::NonZero::new(*deadline_ms),
                };
                Frame::Call { call: *call, about, head: b"GET / HTTP/1.1\r\n\r\n" }
            }
            Self::Data { call, end, bytes } => Frame::Data { call: *call, end: *end, bytes },
            Self::Answer { call, end, status, framing, bytes } => {
                let about =
                    AnswerHead { status: *status, framing: *framing, head_bytes: HEAD.len() };
                Frame::Answer { call: *call, end: *end, about, bytes }
            }
            Self::Credit { call, bytes } => Frame::Credit { call: *call, bytes: *bytes },
            Self::Cancel { call, reason } => Frame::Cancel { call: *call, reason: *reason },
            Self::Refused { call, elsewhere, reason, answer } => {
                let refusal = Refusal { elsewhere: *elsewhere, reason, answer };
                Frame::Refused { call: *call, refusal }
            }
            Self::Load(load) => Frame::Load(*load),
            Self::Drain { heir } => Frame::Drain { heir: *heir },
            Self::Ping(number) => Frame::Ping(*number),
            Self::Pong(number) => Frame::Pong(*number),
            Self::Error { code, text } => Frame::Error { code: *code, text },
        }
    }
}

fn call_id() -> impl Strategy<Value = u64> {
    prop_oneof![1..10_u64, 1..1_u64 << 56]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![Just(Framing::None), any::<u64>().prop_map(Framing::Length), Just(Framing::Chunked)]
}

fn call() -> impl Strategy<Value = Owned> {
    let names = prop::array::uniform3(".{0,60}");
    let file = prop::option::of(prop::array::uniform3(".{0,200}"));
    (call_id(), names, file, framing(), 0..16_u8, 1..u32::MAX, any::<u32>()).prop_map(
        |(call, names, file, framing, bits, credit, deadline_ms)| Owned::Call {
            call,
            names,
            file,
            framing,
            bits,
            credit,
            deadline_ms,
        },
    )
}

fn answer() -> impl Strategy<Value = Owned> {
    (call_id(), any::<bool>(), 200..600_u16, framing(), bytes()).prop_map(
        |(call, end, status, framing, rest)| {
            let bytes = [HEAD, &rest[..]].concat();
            Owned::Answer { call, end, status, framing, bytes }
        },
    )
}

fn frame() -> impl Strategy<Value = Owned> {
    let hello = any::<(u16, u16, u64, u128, u32, u32)>().prop_map(
        |(lowest, highest, features, instance, first_credit, calls)| {
            Owned::Hello(Hello { lowest, highest, features, instance, first_credit, calls })
        },
    );
    let load = any::<(u32, u32, u32, u16, bool)>().prop_map(
        |(in_flight, room, waiting, used_permille, is_draining)| {
            Owned::Load(LoadSummary { in_flight, room, waiting, used_permille, is_draining })
        },
    );
    let cancel = (call_id(), prop::sample::select(Cancel::ALL.to_vec()));
    prop_oneof![
        hello,
        call(),
        answer(),
        (call_id(), any::<bool>(), bytes()).prop_map(|(call, end, bytes)| Owned::Data {
            call,
            end,
            bytes
        }),
        (call_id(), 1..u32::MAX).prop_map(|(call, bytes)| Owned::Credit { call, bytes }),
        cancel.prop_map(|(call, reason)| Owned::Cancel { call, reason }),
        (call_id(), any::<bool>(), "[a-z-]{0,60}", bytes()).prop_map(
            |(call, elsewhere, reason, answer)| Owned::Refused { call, elsewhere, reason, answer }
        ),
        load,
        any::<bool>().prop_map(|heir| Owned::Drain { heir }),
        any::<u64>().prop_map(Owned::Ping),
        any::<u64>().prop_map(Owned::Pong),
        (any::<u16>(), ".{0,60}").prop_map(|(code, text)| Owned::Error { code, text }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(frames in prop::collection::vec(frame(), 0..8)) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.frame().encode(&mut bytes));
        let mut at = 0;
        for frame in &frames {
            let (read, length) = Frame::decode(&bytes[at..]).unwrap().unwrap();
            prop_assert_eq!(read, frame.frame());
            at += length;
        }
        prop_assert_eq!(at, bytes.len());
        link_frames(&bytes);
    }

    #[test]
    fn any_bytes_are_frames_or_a_defined_error(data in prop::collection::vec(any::<u8>(), 0..300)) {
        link_frames(&data);
    }

    #[test]
    fn damaged_frames_are_frames_or_a_defined_error(
        frames in prop::collection::vec(frame(), 1..5),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.frame().encode(&mut bytes));
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        link_frames(&bytes);
    }
}

/// The error that ends a stream of bytes at one side, which has opened no call.
fn outcome(to: Side, bytes: &[u8]) -> Option<LinkError> {
    let mut session = Session::new(to, Hello::of_gateway(9));
    let mut at = 0;
    loop {
        match Frame::decode(&bytes[at..]) {
            Ok(None) => return None,
            Err(error) => return Some(error),
            Ok(Some((frame, length))) => {
                at += length;
                if let Err(error) = session.receive(&frame) {
                    return Some(error);
                }
            }
        }
    }
}

#[test]
fn every_bad_frame_has_its_answer() {
    for case in cases::all() {
        assert_eq!(outcome(case.to, &case.bytes), Some(case.answer), "{}", case.claim);
    }
}

#[test]
fn the_sound_frames_of_the_table_are_sound() {
    let mut bytes = Vec::new();
    for frame in [Frame::Hello(Hello::of_gateway(1)), cases::sound_call(1), cases::sound_call(7)] {
        frame.encode(&mut bytes);
    }
    assert_eq!(outcome(Side::Node, &bytes), None);
}

#[test]
fn a_gateway_opens_calls_in_ascending_order_and_hears_of_no_others() {
    let mut session = Session::new(Side::Gateway, Hello::of_gateway(1));
    let data = |call| Frame::Data { call, end: false, bytes: b"" };
    assert_eq!(session.receive(&data(1)), Err(LinkError::Hello));
    session.receive(&Frame::Hello(Hello::of_node(1, 1, 1))).unwrap();
    assert_eq!([session.open(), session.open()], [1, 2]);
    assert_eq!(session.receive(&data(2)), Ok(()));
    assert_eq!(session.receive(&data(3)), Err(LinkError::BadCall));
}

#[test]
fn codes_are_read_back() {
    for error in LinkError::ALL {
        assert_eq!(LinkError::from_code(error.code()), Some(error));
    }
    assert_eq!(LinkError::from_code(0), None);
}

#[test]
fn data_that_was_written_in_two_parts_is_one_frame_and_can_be_marked_as_the_last() {
    let mut bytes = b"before".to_vec();
    frame::encode_data(&mut bytes, 7, b"one ", b"two");
    frame::mark_end(&mut bytes[6..]);
    let read = Frame::decode(&bytes[6..]).unwrap().unwrap();
    assert_eq!(read, (Frame::Data { call: 7, end: true, bytes: b"one two" }, bytes.len() - 6));
}
