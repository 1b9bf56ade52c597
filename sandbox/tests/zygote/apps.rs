//! Whole applications, with the servers that they bring along, and coroutines.

use std::path::Path;

use crate::kit::{Nursery, app, call, child, handler};

fn installed(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name).join(".venv");
    assert!(folder.is_dir(), "{} is missing: run `make setup`", folder.display());
}

#[tokio::test]
async fn a_wsgi_application_behind_gunicorn() {
    installed("notes-flask");
    let Some(nursery) = Nursery::of_example(&app("main"), "notes-flask") else { return };
    let zygote = nursery.zygote().await;
    let (one, other) = (child(&zygote).await, child(&zygote).await);
    assert!(call(&one, "/").await.contains("Nothing yet."));
    assert!(call(&other, "/").await.contains("Nothing yet."));
}

#[tokio::test]
async fn an_asgi_application_behind_uvicorn() {
    installed("quotes-starlette");
    let Some(nursery) = Nursery::of_example(&app("main"), "quotes-starlette") else { return };
    let zygote = nursery.zygote().await;
    let (one, other) = (child(&zygote).await, child(&zygote).await);
    assert!(call(&one, "/").await.contains("\"quote\""));
    assert!(call(&other, "/").await.contains("\"quote\""));
}

#[tokio::test]
async fn a_wsgi_application_without_a_server() {
    let code = "
def app(environ, start_response):
    start_response('200 OK', [('content-type', 'text/plain')])
    return [b'plain ', environ['PATH_INFO'].encode()]
";
    let filled = Nursery::of(&app("main"), |package| {
        std::fs::write(package.join("main.py"), code).unwrap();
    });
    let Some(nursery) = filled else { return };
    let zygote = nursery.zygote().await;
    let answer = call(&child(&zygote).await, "/path").await;
    assert!(answer.contains("plain ") && answer.contains("/path"), "{answer}");
}

#[tokio::test]
async fn a_coroutine_runs_on_a_loop_of_the_childs_own() {
    let code = "
import asyncio
async def main(ctx):
    await asyncio.sleep(0)
    return 'awaited'
";
    let filled = Nursery::of(&handler("hello.py"), |package| {
        std::fs::write(package.join("hello.py"), code).unwrap();
    });
    let Some(nursery) = filled else { return };
    let zygote = nursery.zygote().await;
    for _ in 0..2 {
        assert_eq!(call(&child(&zygote).await, "/").await, "awaited");
    }
}
