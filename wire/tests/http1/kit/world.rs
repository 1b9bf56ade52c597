//! Everything a test needs around one engine.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use hatchway_wire::Stream;
use hatchway_wire::core::InFlight;
use hatchway_wire::http1::idle::Idle;
use hatchway_wire::http1::{self, Settings};
use hatchway_wire::ticker::Ticker;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::scripted::{End, Event, Scripted, Spans};
use super::{Peer, Still, Tap};

pub(crate) struct World {
    pub(crate) service: Rc<Scripted>,
    pub(crate) ticker: Ticker,
    settings: Rc<Settings>,
    door: TcpListener,
    upstream: TcpListener,
    events: UnboundedReceiver<Event>,
    connections: InFlight,
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports")
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::with_file(settings, None).await
    }

    /// `file` is what `/file` is answered with.
    pub(crate) async fn with_file(settings: Settings, file: Option<std::fs::File>) -> Self {
        let settings = Settings { splice_from: crate::SPLICE_FROM, ..settings };
        let (tell, events) = mpsc::unbounded_channel();
        let (door, upstream) = (listener().await, listener().await);
        let second = Duration::from_secs(1);
        let service = Scripted {
            address: upstream.local_addr().expect("a listener has an address"),
            spans: Cell::new(Spans {
                first_byte: 30 * second,
                idle: 60 * second,
                run: 300 * second,
            }),
            idle: Idle::default(),
            events: tell,
            taps: Cell::new(false),
            tap: Cell::new(None),
            file,
            stale: Cell::new(None),
            narrow: Cell::new(None),
        };
        let ticker = Ticker::default();
        tokio::task::spawn_local(ticker.clone().run());
        Self {
            service: Rc::new(service),
            ticker,
            settings: Rc::new(settings),
            door,
            upstream,
            events,
            connections: InFlight::default(),
        }
    }

    /// Gives connections to come small buffers, so that what a test sends does not vanish in them.
    pub(crate) fn narrow(&self, bytes: usize) {
        self.service.narrow.set(Some(bytes));
        for listener in [&self.door, &self.upstream] {
            let socket = socket2::SockRef::from(listener);
            socket.set_send_buffer_size(bytes).expect("a socket has a buffer");
            socket.set_recv_buffer_size(bytes).expect("a socket has a buffer");
        }
    }

    /// A client, connected and served.
    pub(crate) async fn client(&self) -> Peer {
        let (client, served) = self.connect().await;
        self.serve(served);
        client
    }

    /// The same, and a tap on the engine's end.
    pub(crate) async fn tapped_client(&self) -> (Peer, Tap) {
        let (client, served) = self.connect().await;
        let tap = Tap::new(&served);
        self.serve(served);
        (client, tap)
    }

    async fn connect(&self) -> (Peer, TcpStream) {
        let address = self.door.local_addr().expect("a listener has an address");
        let (client, served) = tokio::join!(TcpStream::connect(address), self.door.accept());
        (Peer::new(client.expect("the door is open")), served.expect("a client came").0)
    }

    fn serve(&self, stream: TcpStream) {
        let (service, settings) = (Rc::clone(&self.service), Rc::clone(&self.settings));
        let (ticker, entered) = (self.ticker.clone(), self.connections.enter());
        tokio::task::spawn_local(async move {
            let peer = http1::Peer::default();
            http1::serve(Stream::Tcp(stream), peer, &*service, &settings, &ticker).await;
            drop(entered);
        });
    }

    /// The next connection that the engine opens.
    pub(crate) async fn upstream(&self) -> Peer {
        Peer::new(self.upstream.accept().await.expect("the engine connects").0)
    }

    /// The engine has opened no connection that was not accepted.
    pub(crate) fn nobody_connects(&self) {
        let waiting = socket2::SockRef::from(&self.upstream).accept();
        assert!(waiting.is_err(), "the engine has connected once more");
    }

    /// Sends a request and gives both ends once it has arrived.
    pub(crate) async fn asked(&self, request: &str) -> (Peer, Peer) {
        let mut client = self.client().await;
        client.send(request).await;
        let mut upstream = self.upstream().await;
        upstream.head().await;
        (client, upstream)
    }

    /// Taps the connections that the engine opens from now on.
    pub(crate) fn tap_upstreams(&self) {
        self.service.taps.set(true);
    }

    /// A tap on the connection that the engine opened last.
    pub(crate) fn upstream_tap(&self) -> Tap {
        self.service.tap.take().expect("the engine has connected")
    }

    pub(crate) async fn event(&mut self) -> Event {
        self.events.recv().await.expect("the service lives")
    }

    /// What became of the next request that is over.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            if let Event::Ended(end) = self.event().await {
                return end;
            }
        }
    }

    /// What became of the next request that is over, when `time` passes again and again. The kernel moves the
    /// last bytes of a connection that stalls when it likes, by a clock that nobody can stop.
    pub(crate) async fn end_after(&mut self, still: &Still, time: Duration) -> End {
        loop {
            still.pass(time).await;
            self.settled().await;
            let ended = |event| if let Event::Ended(end) = event { Some(end) } else { None };
            if let Some(end) = self.told().into_iter().find_map(ended) {
                return end;
            }
        }
    }

    /// What was told so far, without waiting.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Waits until the engine has done all that it can do without anybody else.
    pub(crate) async fn settled(&self) {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }

    /// How many connections are served.
    pub(crate) fn connections(&self) -> usize {
        self.connections.count()
    }

    /// Waits until no connection is served.
    pub(crate) async fn all_closed(&self) {
        self.connections.none().await;
    }
}
