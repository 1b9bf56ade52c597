//! Clients that have had one answer and now keep their connection without using it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::Http2;
use crate::error::{BenchError, During as _, Result};
use crate::front::Front;

/// Addresses of this machine that the clients come from: a gateway lets one address have only so many.
const ADDRESSES: usize = 16;

const LIMIT: Duration = Duration::from_secs(20);

/// Open connections; dropped, they close.
#[derive(Debug)]
pub(crate) struct IdleClients(Vec<TcpStream>);

impl IdleClients {
    /// Opens `count` connections one after another, each with one small request answered.
    ///
    /// # Errors
    /// When one is refused, or its answer is not whole.
    pub(crate) fn open(address: SocketAddr, front: Front, count: usize) -> Result<Self> {
        let one = |number| match front {
            Front::Http2 { .. } => open_http2(address, number),
            Front::Plain | Front::Paced { .. } | Front::Tls | Front::TlsResumed => {
                open_http1(address, number)
            }
        };
        (0..count).map(one).collect::<Result<_>>().map(Self)
    }

    /// How many the other side has closed meanwhile: those that cannot be counted as kept.
    pub(crate) fn closed_by_peer(&mut self) -> usize {
        let is_closed = |stream: &mut TcpStream| {
            let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
            !peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        };
        self.0.iter_mut().filter_map(|stream| is_closed(stream).then_some(())).count()
    }
}

fn connect(address: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let last = u8::try_from(number % ADDRESSES + 1).expect("there are few");
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, last), 0)).into())?;
    socket.connect(&address.into())?;
    // What is said in several writes would wait for the other side's delayed acknowledgement.
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

fn open_http2(address: SocketAddr, number: usize) -> Result<TcpStream> {
    let stream = connect(address, number).during("open an idle connection")?;
    stream.set_read_timeout(Some(LIMIT)).during("set a time limit")?;
    let mut client = Http2::begin(stream)?;
    client.ask("/ok", 1)?;
    client.answers(1)?;
    client.into_stream()
}

fn open_http1(address: SocketAddr, number: usize) -> Result<TcpStream> {
    let mut stream = connect(address, number).during("open an idle connection")?;
    stream.set_read_timeout(Some(LIMIT)).during("set a time limit")?;
    let request = format!("GET /ok HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).during("send a request")?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while !answer.ends_with(b"\r\n\r\nok") {
        let read = stream.read(&mut piece).during("read an answer")?;
        if read == 0 || answer.len() > 16 * piece.len() {
            let text = String::from_utf8_lossy(&answer).into_owned();
            return Err(BenchError::Unexpected { what: "an answer", text });
        }
        answer.extend_from_slice(&piece[..read]);
    }
    Ok(stream)
}
