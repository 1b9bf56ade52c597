//! An HTTP server: on the Unix socket that it is given, else on $PORT.

use std::env;
use std::io;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UnixListener};

#[derive(Deserialize)]
struct Arguments {
    #[serde(default = "world")]
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    greeting: String,
}

fn world() -> String {
    "world".to_owned()
}

async fn hello(Query(arguments): Query<Arguments>) -> Json<Greeting> {
    Json(Greeting { greeting: format!("Hello, {}!", arguments.name) })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let app = Router::new().route("/{{name}}", get(hello));
    if let Some(path) = env::var_os("HATCHWAY_SOCKET") {
        return axum::serve(UnixListener::bind(path)?, app).await;
    }
    let port = env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    axum::serve(TcpListener::bind(format!("127.0.0.1:{port}")).await?, app).await
}
