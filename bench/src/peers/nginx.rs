//! nginx as a streaming reverse proxy with kept connections.

use std::fs;
use std::process::Command;

use super::{Certificate, Running, Site, free_address};
use crate::child::find;
use crate::error::{During as _, Result};
use crate::front::Front;

pub(super) fn version() -> Result<String> {
    let output = Command::new(find("nginx")?).arg("-v").output().during("ask nginx its version")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(said.rsplit('/').next().unwrap_or_default().trim().to_owned())
}

/// `keepalive_requests` defaults to 1000 on both sides; one 64 KiB buffer instead of many small ones
/// is what makes unbuffered bodies cheap.
pub(super) fn start(site: &Site, front: Front) -> Result<Running> {
    let (kind, tls) = match front {
        Front::Plain | Front::Paced { .. } => ("", String::new()),
        Front::Http2 { .. } => ("http2 ", String::new()),
        Front::Tls | Front::TlsResumed => {
            let pair = Certificate::of(site)?;
            let (certificate, key) = (pair.certificate.display(), pair.key.display());
            (
                "ssl ",
                format!(
                    "ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key};"
                ),
            )
        }
    };
    let address = free_address()?;
    let dir = site.dir.display();
    let socket = site.function_socket();
    let configuration = format!(
        r#"
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections 12000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_max_body_size 0;
    client_body_buffer_size 64k;
    client_body_temp_path {dir}/nginx-body;
    proxy_temp_path {dir}/nginx-proxy;
    fastcgi_temp_path {dir}/nginx-fastcgi;
    uwsgi_temp_path {dir}/nginx-uwsgi;
    scgi_temp_path {dir}/nginx-scgi;
    upstream function {{
        server unix:{socket};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} {kind}backlog=4096;
        {tls}
        location / {{
            proxy_pass http://function;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-Id $request_id;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_buffer_size 64k;
            proxy_buffers 4 64k;
            proxy_busy_buffers_size 128k;
        }}
    }}
}}
"#,
        socket = socket.display(),
        // Started by root, its workers would become another user, and could not reach the socket.
        user = if rustix::process::getuid().is_root() { "user root;" } else { "" },
    );
    let file = site.dir.join("nginx.conf");
    fs::write(&file, configuration).at("write", &file)?;
    let mut command = Command::new(find("nginx")?);
    command.arg("-p").arg(&site.dir).arg("-e").arg("stderr").arg("-c").arg(&file);
    Running::in_front(site, "nginx", address, command)
}
