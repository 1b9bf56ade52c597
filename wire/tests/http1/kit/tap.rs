//! Knows whether the engine has read all that was sent to it.

use std::mem::MaybeUninit;

use socket2::{SockRef, Socket};
use tokio::net::TcpStream;

/// A second descriptor of the engine's end of a connection. As long as it lives, that end stays open.
pub(crate) struct Tap(Socket);

impl Tap {
    /// Taps the engine's end.
    pub(crate) fn new(stream: &TcpStream) -> Self {
        Self(SockRef::from(stream).try_clone().expect("descriptors are left"))
    }

    /// Waits until nothing that was sent is unread.
    pub(crate) async fn drained(&self) {
        while self.0.peek(&mut [MaybeUninit::uninit()]).is_ok() {
            tokio::task::yield_now().await;
        }
    }

    /// Ends both directions under the engine, which is not told.
    pub(crate) fn break_off(&self) {
        self.0.shutdown(std::net::Shutdown::Both).expect("it is connected");
    }

    /// Sets both buffers of the engine's end.
    pub(crate) fn narrow(&self, bytes: usize) {
        self.0.set_send_buffer_size(bytes).expect("a socket has a buffer");
        self.0.set_recv_buffer_size(bytes).expect("a socket has a buffer");
    }
}
