//! Counts the lines, words and bytes of what it is sent, piece by piece.

mod count;
mod listen;

use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::signal::unix::{SignalKind, signal};

use count::Count;
use listen::Listener;

type Answer = Result<Response<Full<Bytes>>, hyper::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = Listener::bind_from_env().await?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let stream = tokio::select! {
            stream = listener.accept() => stream?,
            _ = terminate.recv() => return Ok(()),
        };
        tokio::spawn(async move {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            if let Err(error) = connection.await {
                eprintln!("connection lost: {error}");
            }
        });
    }
}

async fn answer(request: Request<Incoming>) -> Answer {
    match *request.method() {
        Method::GET | Method::HEAD => {
            Ok(text(StatusCode::OK, "Send me something: curl -T FILE, and I count it.\n".into()))
        }
        Method::POST | Method::PUT => count(request.into_body()).await,
        _ => {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, String::new());
            answer
                .headers_mut()
                .insert(ALLOW, "GET, HEAD, POST, PUT".parse().expect("it is plain ASCII"));
            Ok(answer)
        }
    }
}

/// A frame at a time, so a file of any size needs the memory of one frame.
async fn count(mut body: Incoming) -> Answer {
    let mut count = Count::default();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            count.add(data);
        }
    }
    Ok(text(StatusCode::OK, count.to_string()))
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, "text/plain; charset=utf-8".parse().expect("it is plain ASCII"));
    answer
}
