//! Where packages are kept: `packages/DIGEST.tar.zst` in a folder, in S3 or what speaks like it, or behind any HTTP server.
//!
//! What a name leads to never changes, so nothing here locks, lists or deletes: to put the same package twice is to put it
//! once. `object_store` knows the protocols; connections are [`http`]'s.

mod http;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path as FilePath;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::io::AsyncWriteExt;

use self::http::Connector;
use crate::digest::Digest;

/// The folder of packages in a store, which may hold other things.
const FOLDER: &str = "packages";

/// What is sent at a time; a package of less is one request.
const PART_BYTES: usize = 8 << 20;

/// Whoever waits for a package tries again by itself, and says so: this only bridges a lost connection.
const RETRY: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_millis(500),
        base: 2.0,
    },
    max_retries: 2,
    retry_timeout: Duration::from_secs(10),
};

/// Why a store gave no package, or took none.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It has no such package.
    #[error("the store has no package {0}")]
    Missing(Digest),
    /// Nothing can be put there.
    #[error("the store {0} can only be read: packages are put where it has them from")]
    ReadOnly(String),
    /// It cannot be reached, or does not want to.
    #[error("the store of packages does not answer as it should")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The package that is to be put there.
    #[error("the package cannot be read")]
    File(#[source] io::Error),
}

/// A text that names no store.
#[derive(Debug, thiserror::Error)]
#[error("{url:?} names no store of packages: {why}")]
pub struct StoreUrlError {
    url: String,
    why: String,
}

/// A store of packages. Cloning it shares its connections, which belong to the runtime that first used them.
#[derive(Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    base: Path,
    is_read_only: bool,
    /// As a person named it.
    url: String,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.url).finish()
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl FromStr for Store {
    type Err = StoreUrlError;

    /// `file:///FOLDER`, `s3://BUCKET/PREFIX`, `http://HOST/PATH` or `https://HOST/PATH`.
    ///
    /// S3's settings are those of its own tools, in the environment: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY` and the like. HTTPS trusts whom the machine trusts, or `SSL_CERT_FILE`.
    ///
    /// # Errors
    /// [`StoreUrlError`]. Nothing is asked yet: a store may come later than its users.
    fn from_str(url: &str) -> Result<Self, StoreUrlError> {
        let wrong = |why: String| StoreUrlError { url: url.to_owned(), why };
        let failed = |error: object_store::Error| wrong(error.to_string());
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        let path = |text: &str| Path::parse(text).map_err(|error| wrong(error.to_string()));
        let (inner, base): (Arc<dyn ObjectStore>, Path) = match scheme {
            "file" if rest.starts_with('/') => (Arc::new(LocalFileSystem::new()), path(rest)?),
            "file" => return Err(wrong("write an absolute path: file:///srv/packages".to_owned())),
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(wrong("write a bucket: s3://BUCKET/PREFIX".to_owned()));
                }
                let store = AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    .with_retry(RETRY)
                    .with_allow_http(true)
                    .with_http_connector(Connector)
                    .build()
                    .map_err(failed)?;
                (Arc::new(store), path(prefix)?)
            }
            "http" | "https" => {
                let builder = HttpBuilder::new().with_url(url).with_retry(RETRY);
                let store = builder.with_http_connector(Connector).build().map_err(failed)?;
                (Arc::new(store), Path::default())
            }
            _ => {
                let why = "write file:///FOLDER, s3://BUCKET/PREFIX, http://HOST or https://HOST";
                return Err(wrong(why.to_owned()));
            }
        };
        let is_read_only = matches!(scheme, "http" | "https");
        Ok(Self { inner, base, is_read_only, url: url.to_owned() })
    }
}

impl Store {
    fn path(&self, digest: &Digest) -> Path {
        self.base.clone().join(FOLDER).join(format!("{digest}.tar.zst"))
    }

    /// The bytes of a package, as they come: neither checked nor whole until a reader has checked them.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Unavailable`]; the same within the stream.
    pub async fn get(
        &self,
        digest: &Digest,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let found = self.inner.get(&self.path(digest)).await;
        let found = found.map_err(|error| of(error, digest))?;
        let digest = *digest;
        Ok(found.into_stream().map(move |piece| piece.map_err(|error| of(error, &digest))).boxed())
    }

    /// True when the store has it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        match self.inner.head(&self.path(digest)).await {
            Ok(_) => Ok(true),
            Err(error) => match of(error, digest) {
                StoreError::Missing(_) => Ok(false),
                other => Err(other),
            },
        }
    }

    /// Puts a package there, whole or not at all. Its file is read by blocking.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put(&self, digest: &Digest, file: &FilePath) -> Result<(), StoreError> {
        if self.is_read_only {
            return Err(StoreError::ReadOnly(self.url.clone()));
        }
        let mut file = File::open(file).map_err(StoreError::File)?;
        let path = self.path(digest);
        let mut writer = BufWriter::with_capacity(Arc::clone(&self.inner), path, PART_BYTES);
        loop {
            let mut piece = Vec::new();
            let read = Read::by_ref(&mut file).take(1 << 20).read_to_end(&mut piece);
            if read.map_err(StoreError::File)? == 0 {
                break;
            }
            if let Err(error) = writer.put(piece.into()).await {
                // Parts that were sent already would stay for nobody; it may fail as well.
                let _ = writer.abort().await;
                return Err(of(error, digest));
            }
        }
        writer.shutdown().await.map_err(|error| StoreError::Unavailable(error.into()))
    }
}

fn of(error: object_store::Error, digest: &Digest) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::Missing(*digest),
        error => StoreError::Unavailable(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_by_its_url_and_a_wrong_one_says_what_would_be_right() {
        let wrong = |url: &str| url.parse::<Store>().unwrap_err().to_string();
        assert!(wrong("/srv/packages").contains("file:///FOLDER"));
        assert!(wrong("file://packages").contains("absolute"));
        assert!(wrong("s3:///x").contains("s3://BUCKET"));
        assert!(wrong("ftp://x").contains("s3://BUCKET"));
        let store: Store = "file:///srv/p".parse().unwrap();
        let digest: Digest = "0".repeat(64).parse().unwrap();
        let path = format!("srv/p/packages/{digest}.tar.zst");
        assert_eq!(store.path(&digest).as_ref(), path);
    }

    #[tokio::test]
    async fn what_was_put_comes_back_and_what_was_not_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}/not/there/yet", folder.path().display());
        let store: Store = url.parse().unwrap();
        let digest: Digest = "1".repeat(64).parse().unwrap();
        assert!(!store.has(&digest).await.unwrap());
        assert!(matches!(store.get(&digest).await.err(), Some(StoreError::Missing(_))));
        let file = folder.path().join("file");
        let bytes: Vec<u8> = (0..20_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        std::fs::write(&file, &bytes).unwrap();
        store.put(&digest, &file).await.unwrap();
        assert!(store.has(&digest).await.unwrap());
        let mut pieces = store.get(&digest).await.unwrap();
        let mut back = Vec::new();
        while let Some(piece) = pieces.next().await {
            back.extend_from_slice(&piece.unwrap());
        }
        assert!(back == bytes);
    }

    #[tokio::test]
    async fn nothing_is_put_where_things_are_only_read() {
        let store: Store = "http://127.0.0.1:1/".parse().unwrap();
        let digest: Digest = "1".repeat(64).parse().unwrap();
        let put = store.put(&digest, FilePath::new("/dev/null")).await;
        assert!(matches!(put, Err(StoreError::ReadOnly(_))));
        assert!(matches!(store.has(&digest).await, Err(StoreError::Unavailable(_))));
    }
}
