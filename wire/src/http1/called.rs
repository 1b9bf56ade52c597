//! A request that came over a link: its head is decided, and it is the only one on its stream.

use crate::Stream;
use crate::http1::client::Client;
use crate::http1::exchange::{Next, exchange};
use crate::http1::service::Service;
use crate::http1::settings::Settings;
use crate::link::Call;
use crate::ticker::Ticker;

/// Serves `request`, whose body and answer go through `call`.
pub(crate) async fn serve_call<S: Service>(
    call: Call,
    service: &S,
    request: S::Call,
    settings: &Settings,
    ticker: &Ticker,
) {
    let mut client = Client::new(Stream::Call(call), settings, ticker);
    let next = exchange(&mut client, service, request).await;
    let Stream::Call(call) = client.stream else { return };
    match next {
        Next::Request | Next::Close | Next::Linger => call.finish(),
        // Dropped before its end, it is cancelled.
        Next::Cut | Next::Reset => drop(call),
    }
}
