//! A load maker for one shape that wrk and h2load do not know: a new TLS connection per request that resumes an earlier session.
//!
//! Key exchange is X25519 alone, so that every gateway does the same work whatever else it could agree on.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
    StreamOwned,
};

#[derive(Debug, Parser)]
struct Args {
    /// Whom to load
    address: SocketAddr,
    /// What to ask for
    path: String,
    /// Connections at a time, a thread each
    #[arg(long)]
    connections: usize,
    /// Seconds
    #[arg(long)]
    duration: u64,
}

/// What all threads count together.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    errors: AtomicU64,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    // Each thread has its own tickets: a session brings two and takes one, so none ever runs out.
    let configs = (0..args.connections).map(|_| config().map(Arc::new));
    let configs: Vec<_> = configs.collect::<Result<_, _>>().map_err(io::Error::other)?;
    for config in &configs {
        ask(config, &args)?;
    }
    let (counts, begun) = (Counts::default(), Instant::now());
    let end = begun + Duration::from_secs(args.duration);
    thread::scope(|scope| {
        for config in &configs {
            let (args, counts) = (&args, &counts);
            scope.spawn(move || load(config, args, counts, end));
        }
    });
    println!(
        "figures {{\"requests\":{},\"duration_us\":{},\"errors\":{}}}",
        counts.requests.into_inner(),
        begun.elapsed().as_micros(),
        counts.errors.into_inner()
    );
    Ok(())
}

fn load(config: &Arc<ClientConfig>, args: &Args, counts: &Counts, end: Instant) {
    while Instant::now() < end {
        let counter = match ask(config, args) {
            Ok(HandshakeKind::Resumed) => &counts.requests,
            Ok(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | Err(_) => {
                &counts.errors
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// One request on a connection of its own; says how the handshake went.
fn ask(config: &Arc<ClientConfig>, args: &Args) -> io::Result<HandshakeKind> {
    let name = ServerName::try_from("localhost").expect("a host name");
    let session =
        ClientConnection::new(Arc::clone(config), name.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect(args.address)?;
    stream.set_nodelay(true)?;
    let mut stream = StreamOwned::new(session, stream);
    let Args { address, path, .. } = args;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // Not every gateway says goodbye.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        Ok(_) | Err(_) => {}
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(io::Error::other("not an answer of 200"));
    }
    stream.conn.handshake_kind().ok_or_else(|| io::Error::other("no handshake"))
}

fn config() -> Result<ClientConfig, Error> {
    let provider = CryptoProvider { kx_groups: vec![kx_group::X25519], ..default_provider() };
    let provider = Arc::new(provider);
    Ok(ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth())
}

/// The certificates of a bench are made for it, and signed by nobody.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
