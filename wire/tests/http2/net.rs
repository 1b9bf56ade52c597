//! A client over HTTP/2, the scripted service, and the engine between them.

use std::cell::Cell;
use std::fs::File;
use std::rc::Rc;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use hatchway_wire::Stream;
use hatchway_wire::core::InFlight;
use hatchway_wire::http1::idle::Idle;
use hatchway_wire::http1::{self, Peer as From, Settings as Common};
use hatchway_wire::http2::Settings;
use hatchway_wire::ticker::Ticker;
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::peer::Peer;
use crate::scripted::{End, Event, Scripted};

/// Everything around one engine.
pub(crate) struct Net {
    pub(crate) ticker: Ticker,
    pub(crate) connections: InFlight,
    service: Rc<Scripted>,
    door: TcpListener,
    upstream: TcpListener,
    events: UnboundedReceiver<Event>,
    settings: Rc<Common>,
}

/// A client's connection.
pub(crate) struct Client {
    requests: SendRequest<Bytes>,
    /// Ends with the connection; gives the reason that the server told.
    pub(crate) over: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports")
}

impl Net {
    pub(crate) async fn new() -> Self {
        Self::with(Common::default(), Settings::default(), None).await
    }

    pub(crate) async fn with(common: Common, settings: Settings, file: Option<File>) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        let (door, upstream) = (listener().await, listener().await);
        let service = Rc::new(Scripted {
            address: upstream.local_addr().expect("a listener has an address"),
            idle: Idle::default(),
            events: tell,
            file,
            narrow: Cell::new(false),
        });
        let ticker = Ticker::default();
        tokio::task::spawn_local(ticker.clone().run());
        let settings = Rc::new(Common { http2: Some(settings), ..common });
        let connections = InFlight::default();
        Self { ticker, connections, service, door, upstream, events, settings }
    }

    /// A connection to the engine.
    pub(crate) async fn connect(&self) -> TcpStream {
        let address = self.door.local_addr().expect("a listener has an address");
        let (client, served) = tokio::join!(TcpStream::connect(address), self.door.accept());
        let (service, settings) = (Rc::clone(&self.service), Rc::clone(&self.settings));
        let (ticker, entered) = (self.ticker.clone(), self.connections.enter());
        let stream = Stream::Tcp(served.expect("a client came").0);
        tokio::task::spawn_local(async move {
            let from = From::default();
            http1::serve(stream, from, &*service, &settings, &ticker).await;
            drop(entered);
        });
        client.expect("the door is open")
    }

    /// A client that lets the server send as much as it likes.
    pub(crate) async fn client(&self) -> Client {
        self.client_with(client::Builder::new().initial_window_size(1 << 30)).await
    }

    pub(crate) async fn client_with(&self, builder: &mut client::Builder) -> Client {
        let stream = self.connect().await;
        let (requests, connection) =
            builder.handshake(stream).await.expect("the engine shakes hands");
        let over = tokio::task::spawn_local(connection);
        Client { requests, over }
    }

    /// The next connection that the engine opens.
    pub(crate) async fn upstream(&self) -> Peer {
        Peer::new(self.upstream.accept().await.expect("the engine connects").0)
    }

    /// Small buffers of what the engine connects to, so that a few dozen KiB do not vanish in them.
    pub(crate) fn narrow(&self) {
        self.service.narrow.set(true);
        let socket = socket2::SockRef::from(&self.upstream);
        socket.set_send_buffer_size(4096).expect("a socket has a buffer");
        socket.set_recv_buffer_size(4096).expect("a socket has a buffer");
    }

    /// The engine has opened no connection that was not accepted.
    pub(crate) fn nobody_connects(&self) {
        let waiting = socket2::SockRef::from(&self.upstream).accept();
        assert!(waiting.is_err(), "the engine has connected");
    }

    /// What became of the next request that is over.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            if let Event::Ended(end) = self.events.recv().await.expect("the service lives") {
                return end;
            }
        }
    }

    /// What was told so far.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Waits until everybody has done all that can be done without anybody else.
    pub(crate) async fn settled(&self) {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
}

/// A request without body or fields.
pub(crate) fn get(path: &str) -> Request<()> {
    request("GET", path)
}

pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://here{path}");
    Request::builder().method(method).uri(uri).body(()).expect("a test asks well")
}

impl Client {
    /// Sends a head, and ends the stream when `is_all`.
    pub(crate) async fn ask(
        &mut self,
        request: Request<()>,
        is_all: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut requests = self.requests.clone().ready().await.expect("the engine takes requests");
        requests.send_request(request, is_all).expect("a test asks well")
    }

    /// Sends a request without a body and reads its answer.
    pub(crate) async fn whole(&mut self, request: Request<()>) -> Answer {
        let (answer, _stream) = self.ask(request, true).await;
        read(answer.await.expect("there is an answer")).await
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(response: Response<RecvStream>) -> Answer {
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.expect("the answer is whole");
        stream.flow_control().release_capacity(data.len()).expect("it was received");
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await.expect("the answer is whole");
    Answer { status: parts.status.as_u16(), fields: parts.headers, body, trailers }
}

/// Sends all of `data` as the engine allows it.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes, is_last: bool) {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.expect("the stream is open").expect("the stream is open");
        let part = data.split_to(room.min(data.len()));
        let ends = is_last && data.is_empty();
        stream.send_data(part, ends).expect("the stream is open");
    }
}
