//! HAProxy in HTTP mode, reusing every connection to the function.

use std::fs;
use std::process::Command;

use super::{Certificate, Running, Site, free_address};
use crate::child::{find, output_of};
use crate::error::{During as _, Result};
use crate::front::Front;

pub(super) fn version() -> Result<String> {
    let said = output_of(Command::new(find("haproxy")?).arg("-v"))?;
    Ok(said.split_whitespace().nth(2).unwrap_or_default().to_owned())
}

/// HAProxy would reserve two descriptors for each of `maxconn` and pipes besides, and not start where
/// that is too many; all clients share a few connections to the function, so it is not.
pub(super) fn start(site: &Site, front: Front) -> Result<Running> {
    let kind = match front {
        Front::Plain | Front::Paced { .. } => String::new(),
        Front::Http2 { .. } => "proto h2".to_owned(),
        Front::Tls | Front::TlsResumed => {
            format!("ssl crt {}", Certificate::of(site)?.both.display())
        }
    };
    let address = free_address()?;
    let socket = site.function_socket();
    let configuration = format!(
        r"
global
    nbthread 1
    maxconn 12000
    no strict-limits
defaults
    mode http
    timeout connect 10s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    option splice-request
    option splice-response
    http-reuse always
frontend clients
    bind {address} backlog 4096 {kind}
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    unique-id-format %{{+X}}o\ %ci:%cp_%Ts_%rt:%pid
    unique-id-header X-Request-Id
    default_backend functions
backend functions
    server function unix@{socket} pool-max-conn 256
",
        socket = socket.display(),
    );
    let file = site.dir.join("haproxy.cfg");
    fs::write(&file, configuration).at("write", &file)?;
    let mut command = Command::new(find("haproxy")?);
    command.arg("-db").arg("-f").arg(&file);
    Running::in_front(site, "haproxy", address, command)
}
