//! A gateway's half in the hands of a test, a node's half as it is, and raw peers for both.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::http1::Framing;
use hatchway_proto::link::{CallHead, Frame, Hello};
use hatchway_proto::name::VersionId;
use hatchway_wire::Stream;
use hatchway_wire::link::{self, Again, Link, Placer, Tries, Why};
use hatchway_wire::ticker::Ticker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything takes on a busy machine.
const GUARD: Duration = Duration::from_secs(120);

/// Runs a test on a core of its own.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let guarded = async { tokio::time::timeout(GUARD, test).await.expect("a test that hangs") };
    tokio::task::LocalSet::new().block_on(&runtime, guarded);
}

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

/// A link to whatever listens at `address`.
pub(crate) async fn link_to(address: SocketAddr) -> Result<Link, link::Ended> {
    let ticker = Ticker::default();
    tokio::task::spawn_local(ticker.clone().run());
    let stream = Stream::connect_tcp(address).await.expect("somebody listens");
    Link::open(stream, 1, Rc::default(), Arc::default(), &ticker).await
}

/// Knows of no other node.
#[derive(Debug)]
pub(crate) struct NoOther;

impl Placer for NoOther {
    fn again(self: Rc<Self>, _tries: Tries, _why: Why) -> Again {
        Box::pin(async { None })
    }
}

/// For a call that only one node may take.
pub(crate) fn nobody_else() -> (Rc<dyn Placer>, Tries) {
    let version = VersionId::parse("0123456789abcdef").expect("it is an id");
    (Rc::new(NoOther), Tries::new(version, 0))
}

/// A call whose head is sent.
pub(crate) struct Call(pub(crate) Stream);

impl Call {
    /// Begins a call; `framing` is what `head` says.
    pub(crate) async fn begin(link: &Link, head: &str, framing: Framing) -> Self {
        let about = CallHead {
            function: "local/a",
            version: "0123456789abcdef",
            request_id: "r",
            framing,
            is_head: false,
            wants_upgrade: head.contains("Upgrade: websocket"),
            is_grpc: false,
            is_choosy: false,
            file: None,
            credit: 0,
            deadline_ms: None,
        };
        let call = link.offer(about, (head.len(), None), nobody_else()).expect("there is room");
        let mut this = Self(Stream::Call(call));
        this.write(head.as_bytes()).await.expect("the link takes it");
        this
    }

    pub(crate) async fn get(link: &Link, path: &str) -> Self {
        let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        Self::begin(link, &head, Framing::None).await
    }

    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| self.0.poll_write(cx, bytes)).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    pub(crate) async fn end(&mut self) {
        poll_fn(|cx| self.0.poll_shutdown(cx)).await.expect("the link takes it");
    }

    /// What is there, at least one byte; nothing at the end.
    pub(crate) async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 64 * 1024];
        let count = poll_fn(|cx| self.0.poll_read(cx, &mut buffer)).await?;
        buffer.truncate(count);
        Ok(buffer)
    }

    /// Everything up to `end`.
    pub(crate) async fn read_to(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let more = self.read().await.expect("the link goes on");
            assert!(!more.is_empty(), "ended after {text:?}");
            text.push_str(std::str::from_utf8(&more).expect("an answer is text"));
        }
        text
    }

    /// The error that the stream ends with.
    pub(crate) async fn broken(&mut self) -> link::Broken {
        loop {
            match self.read().await {
                Ok(bytes) => assert!(!bytes.is_empty(), "it ended as if it were whole"),
                Err(error) => return link::Broken::of(&error).expect("the link says why"),
            }
        }
    }
}

/// One end of a link, frame by frame.
pub(crate) struct Raw {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).await.expect("somebody listens"))
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// The same, after both greetings.
    pub(crate) async fn greeted(address: SocketAddr) -> Self {
        let mut this = Self::connect(address).await;
        this.say(&[Frame::Hello(Hello::of_gateway(7))]).await;
        assert!(this.hear(|frame| matches!(frame, Frame::Hello(_))).await);
        this
    }

    pub(crate) async fn say(&mut self, frames: &[Frame<'_>]) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        self.say_raw(&bytes).await;
    }

    pub(crate) async fn say_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the other end reads");
    }

    /// # Errors
    /// When the other end has closed.
    pub(crate) async fn try_say_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Shows the next frame to `look`; none at the end.
    pub(crate) async fn next<T>(&mut self, look: impl FnOnce(&Frame<'_>) -> T) -> Option<T> {
        loop {
            let decoded = Frame::decode(&self.ahead).expect("ours are sound");
            if let Some((frame, length)) = decoded {
                let seen = look(&frame);
                self.ahead.drain(..length);
                return Some(seen);
            }
            if self.stream.read_buf(&mut self.ahead).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// True once a frame came that `is_it`, false at the end of the connection.
    pub(crate) async fn hear(&mut self, mut is_it: impl FnMut(&Frame<'_>) -> bool) -> bool {
        while let Some(found) = self.next(&mut is_it).await {
            if found {
                return true;
            }
        }
        false
    }
}
