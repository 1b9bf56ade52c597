//! Where to listen: on the Unix socket `HATCHWAY_SOCKET`, or without it on TCP port `PORT`.

use std::env;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    pub async fn bind_from_env() -> io::Result<Self> {
        if let Some(path) = env::var_os("HATCHWAY_SOCKET") {
            return Ok(Self::Unix(UnixListener::bind(path)?));
        }
        let port = env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
        let port =
            port.parse().map_err(|_| io::Error::other(format!("PORT is not a port: {port}")))?;
        Ok(Self::Tcp(TcpListener::bind(("127.0.0.1", port)).await?))
    }

    pub async fn accept(&self) -> io::Result<Pin<Box<dyn Stream>>> {
        Ok(match self {
            Self::Tcp(listener) => Box::pin(listener.accept().await?.0),
            Self::Unix(listener) => Box::pin(listener.accept().await?.0),
        })
    }
}
