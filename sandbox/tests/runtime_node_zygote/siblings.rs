//! What stands between siblings: a Landlock domain and a session each.

use std::io::Write;

use serde_json::json;

use crate::runtime_support::{Package, node_handler};

const REACH: &str = "import fs from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
const attempt = (what) => { try { what(); return 'done'; } catch (error) { return error.code; } };
let server;
export const reach = async (ctx, { pid, listen, connect }) => {
  if (listen) { server = net.createServer().listen(`\\0${listen}`); await once(server, 'listening'); return 'listening'; }
  if (connect) { const socket = net.connect(`\\0${connect}`); return (await Promise.race([once(socket, 'error'), once(socket, 'connect')]))[0]?.code ?? 'done'; }
  return {
    signal: attempt(() => process.kill(Number(pid), 'SIGTERM')),
    probe: attempt(() => process.kill(Number(pid), 0)),
    memory: attempt(() => fs.openSync(`/proc/${pid}/mem`, 'r+')),
    descriptors: attempt(() => fs.openSync(`/proc/${pid}/fd/1`, 'w')),
    folder: attempt(() => fs.readlinkSync(`/proc/${pid}/cwd`)),
    self: attempt(() => process.kill(process.pid, 0)),
    session: fs.readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ')[3] === String(process.pid),
  };
};";

/// The version of Landlock here, by a probe that needs no unsafe code: version 6 came with Linux 6.12.
fn has_scopes() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let has = version >= (6, 12);
    if !has {
        std::io::stderr().write_all(b"SKIPPED scopes of Landlock: Linux 6.12\n").unwrap();
    }
    has
}

#[test]
fn siblings_and_the_zygote_are_out_of_reach() {
    let mut zygote = Package::new(&[("r.mjs", REACH)]).zygote(&node_handler("r.mjs", "reach"));
    let (first, second, parked) = (zygote.serve(), zygote.serve(), zygote.park());
    for pid in [second.pid, parked.pid(), zygote.pid()] {
        let reached = first.get(&format!("/?pid={}", pid.as_raw_nonzero())).json();
        assert_eq!(reached["memory"], "EACCES", "{reached}");
        assert_eq!(reached["descriptors"], "EACCES", "{reached}");
        assert_eq!(reached["folder"], "EACCES", "{reached}");
        if has_scopes() {
            assert_eq!((&reached["signal"], &reached["probe"]), (&json!("EPERM"), &json!("EPERM")));
        }
        assert_eq!((&reached["self"], &reached["session"]), (&json!("done"), &json!(true)));
    }
    assert_eq!(second.get("/?pid=0").status, 200, "it lives");
}

#[test]
fn abstract_sockets_stay_in_the_family() {
    if !has_scopes() {
        return;
    }
    let mut zygote = Package::new(&[("r.mjs", REACH)]).zygote(&node_handler("r.mjs", "reach"));
    let (first, second) = (zygote.serve(), zygote.serve());
    let name = format!("hatchway-test-{}", first.pid.as_raw_nonzero());
    assert_eq!(first.get(&format!("/?listen={name}")).text(), "listening");
    assert_eq!(first.get(&format!("/?connect={name}")).text(), "done");
    assert_eq!(second.get(&format!("/?connect={name}")).text(), "EPERM");
}
