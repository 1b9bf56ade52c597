#!/usr/bin/env bash
# Installs what the examples bring along: npm and pip packages, and the Rust server. Whoever has it all waits for
# milliseconds, for each folder remembers from what it was installed.
set -euo pipefail
cd "$(dirname "$0")"

target=$(cd .. && pwd)/target
target=${CARGO_TARGET_DIR:-$target}/examples
# The real one, not a shim or one of another environment: an environment depends on the interpreter that made it.
python=$(python3 -c 'import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))')

say() { printf 'examples: %s\n' "$*" >&2; }

# unless_done FOLDER RESULT WORDS... -- COMMAND...: runs COMMAND in FOLDER when RESULT is missing in it, or was made from
# other WORDS.
unless_done() {
    local folder=$1 result=$2 words=()
    shift 2
    while [ "$1" != -- ]; do words+=("$1") && shift; done
    shift
    local mark=$folder/.installed
    if [ -e "$folder/$result" ] && [ "$(cat "$mark" 2>/dev/null)" = "${words[*]}" ]; then return; fi
    say "installing $folder"
    rm -f "$mark"
    (cd "$folder" && "$@")
    printf '%s\n' "${words[*]}" >"$mark"
}

digest() { cat "$@" | sha256sum | cut -c1-16; }

npm_install() { npm ci --omit=dev --silent >&2; }

# Not by pip's own script: its first line holds the path to the interpreter, which may be too long for the kernel.
venv_install() {
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt >&2
}

# Built beside the platform's own builds, so that `cargo clean` clears it and the package holds the program alone.
rust_build() {
    cargo build --release --locked --quiet --target-dir "$target" >&2
    # A new file beside, then a rename: one that runs cannot be overwritten.
    cp "$target/release/hyper-rust" .server.new
    mv .server.new server
}

unless_done shop-express node_modules "$(digest shop-express/package-lock.json)" -- npm_install
for folder in notes-flask quotes-starlette; do
    unless_done "$folder" .venv "$(digest "$folder/requirements.txt")" "$("$python" --version)" "$python" -- venv_install
done
unless_done hyper-rust server "$(digest hyper-rust/Cargo.* hyper-rust/src/*.rs)" "$(rustc --version)" -- rust_build
