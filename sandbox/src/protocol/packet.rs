//! One packet: bytes and the descriptors beside them. What node and spawner speak, and whoever else of this machine hands
//! descriptors over.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use rustix::process::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest packet. Less than the send buffer that Linux gives a socket by default
/// (212,992 bytes, part of which is bookkeeping).
pub(crate) const MAX_PACKET_BYTES: usize = 160 << 10;
/// The most descriptors beside one packet: standard output, standard error, listener and
/// ready pipe, and a tree for the package and each extra mount.
pub(crate) const MAX_DESCRIPTORS: usize = 32;

const CONTROL_BYTES: usize = rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS), ScmCredentials(1));

/// Both ends of a connection that keeps packets whole.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Turns `message` into the bytes of a packet.
///
/// # Errors
/// `EMSGSIZE` when it does not fit one.
pub(crate) fn encode<M: Serialize>(message: &M) -> io::Result<Vec<u8>> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX_PACKET_BYTES {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    Ok(bytes)
}

/// Reads a message out of the bytes of a packet.
///
/// # Errors
/// `InvalidData` for anything but exactly one message.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> io::Result<M> {
    serde_json::from_slice(bytes).map_err(io::Error::from)
}

/// Sends one packet; waits for room unless the socket is told not to.
pub(crate) fn send(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<()> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(fits, "there is room for {MAX_DESCRIPTORS}");
    }
    let flags = flags | SendFlags::NOSIGNAL;
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags)
    })?;
    debug_assert_eq!(sent, bytes.len(), "a packet is sent whole");
    Ok(())
}

/// Sends one message and waits for room.
///
/// # Errors
/// `EMSGSIZE` for one that is too long, or has more than 32 descriptors beside it; what sendmsg(2) says.
pub fn send_message<M: Serialize>(
    socket: impl AsFd,
    message: &M,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    send(socket, &encode(message)?, descriptors, SendFlags::empty())
}

/// Bytes, descriptors, and who has sent them.
pub(crate) type Signed<'a> = (&'a [u8], Vec<OwnedFd>, Option<Pid>);

/// Receives packets into one buffer that is used again for each.
#[derive(Debug)]
pub struct Receiver {
    buffer: Vec<u8>,
}

impl Receiver {
    /// With a buffer for the largest packet.
    #[expect(
        clippy::new_without_default,
        reason = "a buffer of 160 KiB is nothing to have by default"
    )]
    pub fn new() -> Self {
        Self { buffer: vec![0; MAX_PACKET_BYTES] }
    }

    /// The next packet, or `None` when the other end is closed.
    ///
    /// # Errors
    /// `InvalidData` for a packet that was cut; what `recvmsg` says otherwise, `WouldBlock`
    /// among it when `flags` ask not to wait.
    pub fn receive(
        &mut self,
        socket: impl AsFd,
        flags: RecvFlags,
    ) -> io::Result<Option<(&[u8], Vec<OwnedFd>)>> {
        let packet = self.receive_from(socket, flags)?;
        Ok(packet.map(|(bytes, descriptors, _)| (bytes, descriptors)))
    }

    /// As [`Receiver::receive`], with the process that has sent it, as this one numbers
    /// processes: the kernel says so on a socket that was told to pass credentials (unix(7),
    /// `SO_PASSCRED`).
    pub(crate) fn receive_from(
        &mut self,
        socket: impl AsFd,
        flags: RecvFlags,
    ) -> io::Result<Option<Signed<'_>>> {
        let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(&socket, &mut [IoSliceMut::new(&mut self.buffer)], &mut control, flags)
        });
        let received = match received {
            // The other end closed with something of ours still unread (unix(7)).
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            received => received?,
        };
        let (mut descriptors, mut sender) = (Vec::new(), None);
        for message in control.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(rights) => descriptors.extend(rights),
                RecvAncillaryMessage::ScmCredentials(credentials) => sender = Some(credentials.pid),
                _ => {}
            }
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "packet was cut"));
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        Ok(Some((&self.buffer[..received.bytes], descriptors, sender)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_arrives_whole_with_its_descriptors() {
        let (ours, theirs) = pair().expect("socket pair");
        let message = vec!["one".to_owned(), "two".to_owned()];
        send_message(&ours, &message, &[ours.as_fd(), theirs.as_fd()]).expect("send");
        let mut receiver = Receiver::new();
        let (bytes, descriptors) =
            receiver.receive(&theirs, RecvFlags::empty()).expect("receive").expect("a packet");
        assert_eq!(decode::<Vec<String>>(bytes).expect("decode"), message);
        assert_eq!(descriptors.len(), 2);
    }

    #[test]
    fn a_closed_end_is_told_apart_from_a_packet() {
        let (ours, theirs) = pair().expect("socket pair");
        drop(ours);
        let mut receiver = Receiver::new();
        let received = receiver.receive(&theirs, RecvFlags::empty());
        assert!(received.expect("receive").is_none());
    }

    #[test]
    fn a_message_that_does_not_fit_is_refused_before_it_is_sent() {
        let error = encode(&"x".repeat(MAX_PACKET_BYTES)).expect_err("too large");
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }

    #[test]
    fn more_descriptors_than_fit_are_refused() {
        let (ours, _theirs) = pair().expect("socket pair");
        let many = vec![ours.as_fd(); MAX_DESCRIPTORS + 1];
        let error = send_message(&ours, &1, &many).expect_err("too many");
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }
}
