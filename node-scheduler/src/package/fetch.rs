//! One package on its way from the store to the shelf: received on this runtime, checked and unpacked beside it.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use hatchway_package::store::Store;
use hatchway_package::{Digest, Limits, UnpackError, Unpacked, unpack};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::failure::FetchFailure;
use super::shelf::Shelf;

/// Between two pieces. A store that is slower than this is not there.
const STALL: Duration = Duration::from_secs(20);

/// Pieces between the receiving and the unpacking end: enough to keep both busy, and no more memory than that.
const PIECES: usize = 8;

/// Before the next try of what may pass. Who fails three times has a longer pause, and a name.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// Brings a package to the shelf; tries again what may pass. Cancel safe: nothing of it stays.
pub(super) async fn fetch(
    store: &Store,
    shelf: &Arc<Shelf>,
    digest: &Digest,
) -> Result<Unpacked, FetchFailure> {
    let mut pauses = PAUSES.iter();
    loop {
        let failure = match once(store, shelf, digest).await {
            Ok(unpacked) => return Ok(unpacked),
            Err(failure) => failure,
        };
        let pause = pauses.next().filter(|_| failure.is_passing());
        let Some(pause) = pause else { return Err(failure) };
        tracing::warn!(%digest, reason = failure.reason, detail = failure.detail, "a package is fetched again");
        sleep(*pause).await;
    }
}

async fn once(
    store: &Store,
    shelf: &Arc<Shelf>,
    digest: &Digest,
) -> Result<Unpacked, FetchFailure> {
    let late = || FetchFailure::unavailable(format!("nothing came for {STALL:?}"));
    let pieces = timeout(STALL, store.get(digest)).await.map_err(|_| late())?;
    let mut pieces = pieces.map_err(|error| FetchFailure::of_store(&error))?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let (shelf, digest) = (Arc::clone(shelf), *digest);
    let unpacking = spawn_blocking(move || to_shelf(&shelf, &digest, Received::new(receiver)));
    let mut lost = None;
    loop {
        let piece = match timeout(STALL, pieces.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(piece))) => Ok(piece),
            Ok(Some(Err(error))) => Err(FetchFailure::of_store(&error)),
            Err(_) => Err(late()),
        };
        let sent = match piece {
            Ok(piece) => sender.send(Ok(piece)).await,
            Err(failure) => {
                lost = Some(failure);
                sender.send(Err(io::ErrorKind::ConnectionAborted.into())).await
            }
        };
        // It has seen enough, and says why.
        if sent.is_err() || lost.is_some() {
            break;
        }
    }
    drop(sender);
    let unpacked =
        unpacking.await.unwrap_or_else(|error| Err(FetchFailure::of_disk(&error.into())));
    match lost {
        Some(failure) => Err(failure),
        None => unpacked,
    }
}

/// Blocks.
fn to_shelf(shelf: &Shelf, digest: &Digest, source: Received) -> Result<Unpacked, FetchFailure> {
    let draft = shelf.begin(digest).map_err(|error| FetchFailure::of_disk(&error))?;
    let unpacked = unpack(source, digest, &draft.files(), &Limits::default());
    let unpacked =
        unpacked.map_err(|error: UnpackError| FetchFailure::of_unpacking(digest, &error))?;
    draft.keep(&unpacked).map_err(|error| FetchFailure::of_disk(&error))?;
    Ok(unpacked)
}

/// What was received, to be read by a thread that may wait.
struct Received {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Received {
    fn new(receiver: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { receiver, piece: Bytes::new() }
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.piece.has_remaining() {
            // Without a sender there is no more; whether that is all, the digest tells.
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = self.piece.remaining().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
