//! Requests on a client's connection: heads are read, requests are served one after the other, and
//! between two of them the connection owns no buffer.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use hatchway_proto::http1::{self, HeadError};
use tokio::time::Instant;

use crate::http1::answer::Answer;
use crate::http1::client::Client;
use crate::http1::exchange::{self, Next, Outcome};
use crate::http1::service::{Front, Peer, Refused, Request};
use crate::http1::settings::Settings;
use crate::http2;
use crate::ticker::{self, Ticker};
use crate::{Stream, scratch};

/// Serves a connection until either side ends it or the core drains.
pub async fn serve<S: Front>(
    stream: Stream,
    peer: Peer<'_>,
    service: &S,
    settings: &Settings,
    ticker: &Ticker,
) {
    let mut client = Client::new(stream, settings, ticker);
    // From here on, whoever waits for a request has looked at the clock in the same turn.
    ticker::now();
    let mut is_first = true;
    loop {
        // What is large is boxed and lives as long as a request: thousands of connections wait for one.
        let next = match client.read_head(service, peer).await {
            Head::Call(call) => exchange::exchange(&mut client, service, call).await,
            Head::Answer(answer) => Box::pin(client.refuse(service, *answer)).await,
            Head::Http2(settings) if is_first => {
                let stream = (client.stream, client.ahead.take());
                let settings = (client.settings, settings);
                return Box::pin(http2::serve(stream, peer, service, settings, ticker)).await;
            }
            Head::Http2(_) | Head::End => return client.stream.close(),
        };
        is_first = false;
        match next {
            Next::Request => {}
            Next::Close if client.ahead.is_empty() && client.stream.is_quiet() => return,
            Next::Close | Next::Linger => return Box::pin(client.linger()).await,
            Next::Cut => return,
            Next::Reset => return client.stream.reset(),
        }
    }
}

/// Tells a client that it is not served, whatever it asks, and closes.
pub async fn turn_away(stream: Stream, answer: Answer, settings: &Settings, ticker: &Ticker) {
    let mut client = Client::new(stream, settings, ticker);
    let (request, mut outcome) = (Request::unknown(), Outcome::default());
    match client.send(answer, &request, false, &mut outcome).await {
        Next::Cut | Next::Reset => {}
        Next::Request | Next::Close | Next::Linger => client.linger().await,
    }
}

/// What came of waiting for a head.
enum Head<'s, C> {
    Call(C),
    /// Boxed, as all that is rare: a head is handed through many hands.
    Answer(Box<Answer>),
    /// Its first bytes are those of the newer version, which is offered.
    Http2(&'s http2::Settings),
    End,
}

/// A head being waited for.
struct Waiting {
    idle_since: Instant,
    /// When its first byte came.
    begun: Option<Instant>,
    /// How much of what has come is known to be no whole head.
    seen: usize,
    /// It is not the first turn.
    has_waited: bool,
}

impl<'c> Client<'c> {
    /// Waits for a request. An idle connection ends without a word, a slow head is told so.
    async fn read_head<S: Front>(&mut self, service: &S, peer: Peer<'_>) -> Head<'c, S::Call> {
        let mut waiting =
            Waiting { idle_since: ticker::recent(), begun: None, seen: 0, has_waited: false };
        poll_fn(move |cx| {
            // What is there may already hold a head: a client that sends ahead.
            if waiting.seen == 0
                && let Some(head) = self.parse(service, peer, &mut waiting)
            {
                return Poll::Ready(head);
            }
            loop {
                match self.poll_more(service, peer, &mut waiting, cx) {
                    Poll::Ready(Some(head)) => return Poll::Ready(head),
                    Poll::Ready(None) => {}
                    Poll::Pending => break,
                }
            }
            self.timer.set(self.head_deadline(&waiting));
            let has_waited = std::mem::replace(&mut waiting.has_waited, true);
            let now = if has_waited { ticker::now() } else { ticker::recent() };
            ready!(self.timer.poll_at(now, cx));
            Poll::Ready(match waiting.begun {
                None => Head::End,
                Some(_) => Head::Answer(Box::new(service.refuse(&Refused::TooSlow, peer))),
            })
        })
        .await
    }

    fn head_deadline(&self, waiting: &Waiting) -> Instant {
        if let Some(begun) = waiting.begun {
            return begun + self.settings.head_clock;
        }
        let idle = waiting.idle_since + self.settings.keep_alive;
        match self.ticker.draining_since() {
            Some(since) => idle.min(since + self.settings.drain_grace),
            None => idle,
        }
    }

    /// Reads once. A head that is complete in one read, as nearly all are, is never copied.
    fn poll_more<S: Front>(
        &mut self,
        service: &S,
        peer: Peer<'_>,
        waiting: &mut Waiting,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Head<'c, S::Call>>> {
        let (head, left) = ready!(scratch::with_scratch(|buffer| {
            let bytes = match ready!(self.stream.poll_read(cx, buffer)) {
                Ok(0) | Err(_) => return Poll::Ready((Some(Head::End), 0..0)),
                Ok(count) => &buffer[..count],
            };
            if !self.ahead.is_empty() {
                self.ahead.push(bytes);
                return Poll::Ready((self.parse(service, peer, waiting), 0..0));
            }
            let (head, used) = self.begin(bytes, service, peer);
            if head.is_none() {
                waiting.begun = Some(ticker::recent());
                waiting.seen = bytes.len();
            }
            Poll::Ready((head, used..bytes.len()))
        }));
        if !left.is_empty() {
            self.ahead.push_scratch(left);
        }
        Poll::Ready(head)
    }

    /// Looks for a head in what was kept, when that can have become one.
    fn parse<S: Front>(
        &mut self,
        service: &S,
        peer: Peer<'_>,
        waiting: &mut Waiting,
    ) -> Option<Head<'c, S::Call>> {
        let bytes = self.ahead.bytes();
        if bytes.is_empty() || !http1::worth_parsing(bytes, waiting.seen, &self.settings.limits) {
            return None;
        }
        waiting.begun.get_or_insert_with(ticker::now);
        waiting.seen = bytes.len();
        let (head, used) = self.begin(bytes, service, peer);
        self.ahead.consume(used);
        head
    }

    /// Reads a head and hands it to the service while its bytes are there; says how many they were.
    fn begin<S: Front>(
        &self,
        bytes: &[u8],
        service: &S,
        peer: Peer<'_>,
    ) -> (Option<Head<'c, S::Call>>, usize) {
        ticker::now();
        match http1::parse_request(bytes, &self.settings.limits) {
            Ok(None) => (None, 0),
            Ok(Some(head)) => match service.begin(&head, peer) {
                Ok(call) => (Some(Head::Call(call)), head.len),
                Err(answer) => (Some(Head::Answer(Box::new(answer))), head.len),
            },
            Err(HeadError::Http2Preface) if let Some(settings) = &self.settings.http2 => {
                (Some(Head::Http2(settings)), 0)
            }
            Err(error) => {
                let answer = service.refuse(&Refused::Head(error), peer);
                (Some(Head::Answer(Box::new(answer))), 0)
            }
        }
    }

    /// Answers a request that was refused by its head alone.
    async fn refuse<S: Front>(&mut self, service: &S, answer: Answer) -> Next {
        let mut outcome = Outcome { is_ours: true, ..Outcome::default() };
        // Where the next request would begin is not known any more.
        self.ahead.clear();
        let next = self.send(answer.closing(), &Request::unknown(), false, &mut outcome).await;
        service.finish(None, &outcome);
        next
    }
}
