//! A Node zygote in a real sandbox: behind seccomp, without privileges, its children in groups of their
//! own. What they may do is in `runtime_node_zygote`; here, that the walls allow it.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod common;
#[path = "zygote/kit.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod kit;

use std::path::Path;

use hatchway_sandbox::runtime::{NodeEntry, Runtime};
use kit::{Nursery, call, child, json, park, within};

const HANDLER: &str = "import { randomUUID } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { execSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
const boot = randomUUID();
const attempt = (what) => { try { return what(); } catch (error) { return error.code; } };
export async function main(ctx, query) {
  if (query?.end) return process.exit(3);
  const worker = new Worker('require(\"node:worker_threads\").parentPort.postMessage(process.pid)', { eval: true });
  const [pid] = await once(worker, 'message');
  return {
    boot, uuid: randomUUID(), math: Math.random(), pid: process.pid, sandbox: process.env.HATCHWAY_SANDBOX, worker: pid === process.pid,
    file: (await fs.readFile('/etc/hosts')).length > 0, echo: execSync('echo hi').toString(),
    zygote: attempt(() => process.kill(process.ppid, 0)), module: WebAssembly.validate(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)),
  };
}";

#[tokio::test]
async fn children_of_a_handler_serve_behind_every_wall() {
    let entry = NodeEntry::Handler { module: "h.mjs".into(), export: "main".into() };
    let nursery = Nursery::of(&Runtime::Node(entry), |package| {
        std::fs::write(package.join("h.mjs"), HANDLER).unwrap();
    });
    let Some(nursery) = nursery else { return };
    let zygote = nursery.zygote().await;
    let (first, second) = (child(&zygote).await, child(&zygote).await);
    let (one, two) = (json(&first, "/").await, json(&second, "/").await);
    assert_eq!(one["boot"], two["boot"]);
    for differs in ["uuid", "math", "pid"] {
        assert_ne!(one[differs], two[differs], "{differs}");
    }
    for answer in [&one, &two] {
        assert_eq!((&answer["sandbox"], &answer["echo"]), (&"sb-7".into(), &"hi\n".into()));
        assert_eq!(answer["zygote"], "EPERM", "{answer}");
        for able in ["worker", "file", "module"] {
            assert_eq!(answer[able], true, "{able}");
        }
    }
    let mut connection = first.connect().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(
        &mut connection,
        b"GET /?end=1 HTTP/1.1\r\nhost: t\r\n\r\n",
    )
    .await
    .unwrap();
    let exit = within("its end", first.exited()).await;
    assert!(exit.to_string().contains('3'), "{exit}");
    second.terminate();
    within("its end", second.exited()).await;
}

#[tokio::test]
async fn children_of_an_express_application_serve_behind_every_wall() {
    let modules =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop-express/node_modules");
    assert!(modules.is_dir(), "{} is missing: run `make setup`", modules.display());
    let runtime = Runtime::Node(NodeEntry::Main { script: "server.js".into() });
    let Some(nursery) = Nursery::of_example(&runtime, "shop-express") else { return };
    let zygote = nursery.zygote().await;
    let parked = park(&zygote).await;
    for served in [parked.go("sb-1"), child(&zygote).await] {
        within("its word", served.ready()).await.unwrap();
        assert!(call(&served, "/products").await.contains("Incubator"));
    }
}
