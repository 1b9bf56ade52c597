//! A function that does nothing and remembers everything, behind a node.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use socket2::SockRef;

use super::reader::{Message, Reader};
use super::{GUARD, node};

/// What reached the function.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The head of a request. More of it may follow.
    Head(String),
    /// A whole request. Its head was told before.
    Whole(Message),
    /// A request whose connection ended in the middle.
    Cut(Message),
    /// The function has closed a connection by itself.
    Closed,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// What becomes of the connection.
    pub(crate) then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Stay,
    Close,
    Reset,
}

impl Reply {
    /// 200 with a body, on a connection that stays.
    pub(crate) fn ok(body: &str) -> Self {
        Self::raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), then: Then::Stay }
    }

    pub(crate) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

type Answer = dyn Fn(&Message) -> Reply + Send + Sync;

/// The function. Its threads end with their connections, which end with the gateway.
pub(crate) struct Recorder {
    /// Of its node.
    pub(crate) address: SocketAddr,
    seen: Receiver<Seen>,
}

impl Recorder {
    /// Answers each request with its method and target.
    pub(crate) fn start() -> Self {
        Self::answering(|request| Reply::ok(&request.words()[..2].join(" ")))
    }

    /// Answers as `answer` says.
    pub(crate) fn answering(answer: impl Fn(&Message) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let (tell, seen) = mpsc::channel();
        let answer: Arc<Answer> = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tell, answer) = (tell.clone(), Arc::clone(&answer));
                let Ok(stream) = stream else { return };
                std::thread::spawn(move || serve(&stream, &tell, &*answer));
            }
        });
        Self { address: node::in_front_of(address), seen }
    }

    /// The next thing that was seen.
    pub(crate) fn next(&self) -> Seen {
        self.seen.recv_timeout(GUARD).expect("something reaches the node")
    }

    /// The next whole request.
    pub(crate) fn request(&self) -> Message {
        loop {
            match self.next() {
                Seen::Whole(message) => return message,
                Seen::Head(_) | Seen::Closed => {}
                Seen::Cut(message) => panic!("a request was cut: {message:?}"),
            }
        }
    }

    /// Everything seen so far.
    pub(crate) fn drain(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }
}

fn serve(stream: &TcpStream, tell: &Sender<Seen>, answer: &Answer) {
    let mut reader = Reader::new(stream);
    // A test that has seen enough does not listen to the end.
    while let Ok(Some(head)) = reader.head() {
        let mut message = Message { head: head.clone(), ..Message::default() };
        let _ = tell.send(Seen::Head(head));
        if reader.body(&mut message).is_err() {
            let _ = tell.send(Seen::Cut(message));
            return;
        }
        let reply = answer(&message);
        let _ = tell.send(Seen::Whole(message));
        if send(stream, &reply).is_err() {
            return;
        }
        if reply.then == Then::Close {
            let _ = tell.send(Seen::Closed);
        }
        if reply.then != Then::Stay {
            return;
        }
    }
}

fn send(mut stream: &TcpStream, reply: &Reply) -> io::Result<()> {
    stream.write_all(&reply.bytes)?;
    match reply.then {
        Then::Stay => Ok(()),
        Then::Close => stream.shutdown(Shutdown::Both),
        Then::Reset => SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)),
    }
}
