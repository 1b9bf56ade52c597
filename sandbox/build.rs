//! Compiles the addon for Node zygotes and stem cells, which is then embedded like the adapters beside it.
//!
//! In C, because Node-API is an interface of C: so it needs no header, no bindings and no crate.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const PARTS: [&str; 6] = ["addon.c", "confine.c", "keep.c", "packet.c", "park.c", "stem.c"];

fn main() {
    println!("cargo::rerun-if-changed=zygote-node");
    println!("cargo::rerun-if-env-changed=CC");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("zygote.node");
    // Not for the target of the static helpers: it is loaded by the Node of this machine.
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(&compiler);
    command.args([
        "-std=c11",
        "-D_GNU_SOURCE",
        "-O2",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror=implicit",
    ]);
    // Node itself resolves the names of Node-API and libuv when it loads the addon.
    command.args(["-shared", "-fPIC", "-fvisibility=hidden", "-o"]).arg(out);
    command.args(PARTS).current_dir("zygote-node");
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("the addon for Node zygotes does not compile: {status}"),
        Err(error) => panic!("a C compiler is needed ({}): {error}", compiler.display()),
    }
}
