//! One member of etcd, asked: pages of keys at one revision, and a watch.

use std::time::Duration;

use etcd_client::{Client, GetOptions, GetResponse, KeyValue, WatchOptions, WatchStream};
use hatchway_proto::catalog::Keys;
use tokio::time::timeout;

use super::EtcdConfig;
use crate::catalog::mirror::KeyList;

/// The longest that one answer is waited for.
const ANSWER: Duration = Duration::from_secs(10);

/// Keys of a page at first: a few hundred KiB of rules.
const PAGE: i64 = 1000;

/// Answers and events may be this long, in bytes. A page of huge values is halved until it fits.
const MESSAGE_BYTES: usize = 64 << 20;

/// Why etcd is not heard any more.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// What the client says: refused, unknown user, no leader.
    #[error("{0}")]
    Client(#[from] etcd_client::Error),
    /// No answer.
    #[error("no answer within {} s", ANSWER.as_secs())]
    Silent,
    /// The watch was ended from the other side.
    #[error("the watch was ended: {0}")]
    Ended(String),
    /// An answer without its header.
    #[error("what answers is no etcd")]
    NoEtcd,
}

impl EtcdError {
    /// The revision that was asked for is gone.
    pub(super) fn is_compacted(&self) -> bool {
        match self {
            Self::Client(etcd_client::Error::GRpcStatus(status)) => {
                status.message().contains("has been compacted")
            }
            Self::Client(_) | Self::Silent | Self::Ended(_) | Self::NoEtcd => false,
        }
    }

    /// The answer was longer than we take (tonic's code for it; etcd uses the same for a compaction).
    fn is_too_long(&self) -> bool {
        match self {
            Self::Client(etcd_client::Error::GRpcStatus(status)) => {
                status.message().contains("message length too large")
            }
            Self::Client(_) | Self::Silent | Self::Ended(_) | Self::NoEtcd => false,
        }
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn answer<T>(
    asked: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, EtcdError> {
    Ok(timeout(ANSWER, asked).await.map_err(|_| EtcdError::Silent)??)
}

/// A connection to one member.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    keys: Keys,
}

impl Connection {
    /// Connects to one member: which one is lost is then known, and the next try goes to another.
    pub(super) async fn open(config: &EtcdConfig, endpoint: &str) -> Result<Self, EtcdError> {
        let connecting = Client::connect([endpoint], Some(config.options.clone()));
        Ok(Self { client: answer(connecting).await?, keys: config.keys.clone() })
    }

    /// All keys below the prefix as they were at one revision: the newest, or `at`.
    pub(super) fn pages(&self, at: Option<i64>, keys_only: bool) -> Pages {
        self.pages_of(self.keys.prefix(), at, keys_only)
    }

    /// The same below another prefix, which ends with a slash too.
    pub(super) fn pages_of(&self, prefix: &str, at: Option<i64>, keys_only: bool) -> Pages {
        let prefix = prefix.as_bytes();
        // The prefix ends with a slash, and '0' is the byte after it.
        let end = [&prefix[..prefix.len() - 1], b"0"].concat();
        let kv = self.client.kv_client().max_decoding_message_size(MESSAGE_BYTES);
        Pages { kv, next: Some(prefix.to_vec()), end, at, keys_only, limit: PAGE, cluster: 0 }
    }

    /// The keys as they were at `at`, into `list`.
    pub(super) async fn keys(
        self,
        mut list: KeyList,
        at: i64,
    ) -> Result<(KeyList, i64), EtcdError> {
        let mut pages = self.pages(Some(at), true);
        while let Some(page) = pages.next().await? {
            for entry in &page {
                list.note(entry.key(), entry.mod_revision());
            }
        }
        Ok((list, at))
    }

    /// Every change from `revision` on.
    pub(super) async fn watch(&self, revision: i64) -> Result<WatchStream, EtcdError> {
        let options =
            WatchOptions::new().with_prefix().with_start_revision(revision).with_progress_notify();
        let mut watch = self.client.watch_client().max_decoding_message_size(MESSAGE_BYTES);
        answer(watch.watch(self.keys.prefix(), Some(options))).await
    }
}

/// A range being read page by page, all of it at the revision of the first page.
pub(super) struct Pages {
    kv: etcd_client::KvClient,
    next: Option<Vec<u8>>,
    end: Vec<u8>,
    at: Option<i64>,
    keys_only: bool,
    limit: i64,
    cluster: u64,
}

impl Pages {
    /// The next page; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<KeyValue>>, EtcdError> {
        let Some(from) = self.next.take() else { return Ok(None) };
        let mut response = loop {
            match self.ask(from.clone()).await {
                Err(error) if error.is_too_long() && self.limit > 1 => self.limit /= 2,
                other => break other?,
            }
        };
        let header = response.header().ok_or(EtcdError::NoEtcd)?;
        self.cluster = header.cluster_id();
        self.at.get_or_insert(header.revision());
        let has_more = response.more();
        let page = response.take_kvs();
        if has_more {
            self.next = page.last().map(|last| [last.key(), b"\0"].concat());
        }
        Ok(Some(page))
    }

    async fn ask(&mut self, from: Vec<u8>) -> Result<GetResponse, EtcdError> {
        let mut options = GetOptions::new().with_range(self.end.clone()).with_limit(self.limit);
        if let Some(at) = self.at {
            options = options.with_revision(at);
        }
        if self.keys_only {
            options = options.with_keys_only();
        }
        answer(self.kv.get(from, Some(options))).await
    }

    /// The revision and the cluster of what was read; zeros before the first page.
    pub(super) fn read_at(&self) -> (i64, u64) {
        (self.at.unwrap_or_default(), self.cluster)
    }
}
