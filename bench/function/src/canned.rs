//! What is answered: whole messages, made once.

use std::cell::OnceCell;

/// Which answer a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `/1k`: 1 KiB.
    Small,
    /// `/1m`: 1 MiB.
    Large,
    /// Anything else: two bytes.
    Ok,
    /// A request this server does not read: chunked bodies. Load makers count it as an error.
    Unreadable,
}

impl Reply {
    pub(crate) fn for_path(path: &[u8]) -> Self {
        if path.ends_with(b"/1k") {
            Self::Small
        } else if path.ends_with(b"/1m") {
            Self::Large
        } else {
            Self::Ok
        }
    }
}

/// Each answer in two forms: kept alive, and with `Connection: close`. Made when first asked for,
/// so that a start pays for none of them.
#[derive(Default)]
pub(crate) struct Canned {
    forms: [[OnceCell<Vec<u8>>; 2]; 4],
}

impl Canned {
    pub(crate) fn bytes(&self, reply: Reply, close: bool) -> &[u8] {
        self.forms[reply as usize][usize::from(close)].get_or_init(|| message(reply, close))
    }
}

fn message(reply: Reply, close: bool) -> Vec<u8> {
    let (status, body) = match reply {
        Reply::Small => ("200 OK", vec![b'x'; 1024]),
        Reply::Large => ("200 OK", vec![b'x'; 1024 * 1024]),
        Reply::Ok => ("200 OK", b"ok".to_vec()),
        Reply::Unreadable => ("501 Not Implemented", Vec::new()),
    };
    let connection = if close { "Connection: close\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {}\r\n{connection}\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}
