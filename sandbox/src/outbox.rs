//! Sending orders from any thread, in order, without ever making one wait.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::SendFlags;

use crate::protocol::packet;

/// Packets that did not fit the socket's buffer. What can queue is bounded by what the node may
/// run: few orders for each sandbox.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    has_packets: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    packets: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    is_closed: bool,
}

impl Outbox {
    /// Sends at once when the socket has room and nothing waits before; else queues.
    pub(crate) fn send(
        &self,
        socket: &OwnedFd,
        bytes: Vec<u8>,
        descriptors: Vec<OwnedFd>,
    ) -> io::Result<()> {
        let mut queue = self.lock();
        if queue.packets.is_empty() {
            match send_now(socket, &bytes, &descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
        queue.packets.push_back((bytes, descriptors));
        self.has_packets.notify_one();
        Ok(())
    }

    /// The thread for the rare full buffer: waits for room, then sends in order, until closed.
    pub(crate) fn send_late(&self, socket: &OwnedFd) {
        let mut queue = self.lock();
        while !queue.is_closed {
            let Some((bytes, descriptors)) = queue.packets.front() else {
                queue = self.has_packets.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            match send_now(socket, bytes, descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    drop(queue);
                    let mut room = [PollFd::new(socket, PollFlags::OUT)];
                    // An error shows again when sending.
                    let _ = poll(&mut room, None);
                    queue = self.lock();
                }
                // Sent, or nobody there to send to.
                Ok(()) | Err(_) => {
                    queue.packets.pop_front();
                }
            }
        }
    }

    /// Ends the thread; what still queues is for nobody.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.has_packets.notify_all();
    }

    /// A poisoned lock only says that some other thread panicked; the queue stays true.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send_now(socket: &OwnedFd, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
    let attached: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    packet::send(socket, bytes, &attached, SendFlags::DONTWAIT)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustix::net::RecvFlags;

    use super::*;
    use crate::protocol::packet::Receiver;

    #[test]
    fn packets_past_the_sockets_buffer_arrive_in_order() {
        let (ours, theirs) = packet::pair().expect("socket pair");
        let (outbox, ours) = (Arc::new(Outbox::default()), Arc::new(ours));
        let late = {
            let (outbox, ours) = (Arc::clone(&outbox), Arc::clone(&ours));
            std::thread::spawn(move || outbox.send_late(&ours))
        };
        // Together far more than a socket holds, so that most of them queue.
        const COUNT: u32 = 64;
        for number in 0..COUNT {
            let mut bytes = vec![b'x'; 32 << 10];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            outbox.send(&ours, bytes, Vec::new()).expect("never waits");
        }
        assert!(!outbox.lock().packets.is_empty(), "the buffer was full");
        let mut receiver = Receiver::new();
        for number in 0..COUNT {
            let packet = receiver.receive(&theirs, RecvFlags::empty()).expect("receive");
            let (bytes, _) = packet.expect("a packet");
            assert_eq!(bytes[..4], number.to_be_bytes());
        }
        outbox.close();
        late.join().expect("ends when closed");
    }
}
