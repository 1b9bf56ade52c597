//! Clients that others have written.

use std::process::{Command, Output};

use super::kit::{Edge, Recorder, Reply};

fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output();
    output.unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"))
}

fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Echoes a request's body, in chunks.
fn echo() -> Recorder {
    Recorder::answering(|request| {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in request.body.chunks(1000) {
            answer.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            answer.extend_from_slice(piece);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\nX-Trailer: 1\r\n\r\n");
        Reply::raw(answer)
    })
}

#[test]
fn curl_sends_and_reads_every_kind_of_body() {
    let recorder = echo();
    let edge = Edge::before(&recorder);
    let url = format!("http://{}/a", edge.address);
    let body = "hello ".repeat(20_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &body).unwrap();
    let data = format!("@{}", file.path().display());
    let ways: [&[&str]; 4] = [
        &[],
        &["--http1.0"],
        &["-H", "Transfer-Encoding: chunked"],
        &["-H", "Expect: 100-continue"],
    ];
    for way in ways {
        let args = [&["-sS", "--max-time", "60", "--data-binary", &data, &url], way].concat();
        assert!(text(&run("curl", &args)) == body, "{way:?}");
    }
}

#[test]
fn curl_uses_one_connection_for_many_requests() {
    let recorder = Recorder::start();
    let edge = Edge::before(&recorder);
    let url = format!("http://{}/[1-20]", edge.address);
    let args = ["-sS", "--max-time", "60", "-w", " %{num_connects}\n", &url];
    let answers = text(&run("curl", &args));
    let lines: Vec<&str> = answers.lines().collect();
    let expected: Vec<String> =
        (1..=20).map(|n| format!("GET /{n} {}", u8::from(n == 1))).collect();
    assert_eq!(lines, expected);
}

#[test]
fn curl_reads_the_head_of_an_answer_to_head() {
    let recorder = Recorder::answering(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nX-A: b\r\n\r\n")
    });
    let edge = Edge::before(&recorder);
    let url = format!("http://{}/", edge.address);
    let head = text(&run("curl", &["-sS", "--max-time", "60", "--head", &url]));
    assert!(head.contains("Content-Length: 1000000\r\n") && head.contains("X-A: b\r\n"), "{head}");
}

#[test]
fn curl_notices_an_answer_that_was_cut() {
    use super::kit::recorder::Then;
    for (answer, code) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", 18),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 18),
    ] {
        let recorder = Recorder::answering(move |_| Reply::raw(answer).then(Then::Close));
        let edge = Edge::before(&recorder);
        let url = format!("http://{}/", edge.address);
        let output = run("curl", &["-sS", "--max-time", "60", &url]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}

const AGENT: &str = r#"
    const http = require('node:http');
    const { port, rounds } = JSON.parse(process.argv[1]);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const ask = (number) => new Promise((resolve, reject) => {
        const body = `body ${number} `.repeat(number * 50);
        const request = http.request(
            { port, agent, method: 'POST', path: `/${number}`, headers: number % 2 ? {} : { 'content-length': body.length } },
            (answer) => {
                let text = '';
                answer.setEncoding('utf8');
                answer.on('data', (piece) => { text += piece; });
                answer.on('end', () => {
                    if (text !== body) reject(new Error(`${number}: ${text.length} of ${body.length}`));
                    else if (answer.trailers['x-trailer'] !== '1') reject(new Error(`${number}: no trailer`));
                    else resolve();
                });
                answer.on('error', reject);
            });
        request.on('error', reject);
        for (let at = 0; at < body.length; at += 700) request.write(body.slice(at, at + 700));
        request.end();
    });
    Promise.all(Array.from({ length: rounds }, (_, number) => ask(number)))
        .then(() => { console.log('all'); process.exit(0); })
        .catch((error) => { console.error(error); process.exit(1); });
"#;

#[test]
fn node_sends_many_requests_at_once_over_a_few_connections() {
    let recorder = echo();
    let edge = Edge::before(&recorder);
    let args = format!(r#"{{"port": {}, "rounds": 60}}"#, edge.address.port());
    assert_eq!(text(&run("node", &["-e", AGENT, &args])), "all\n");
}

const FETCH: &str = r#"
    const { port } = JSON.parse(process.argv[1]);
    const signal = AbortSignal.timeout(60000);
    (async () => {
        for (let number = 0; number < 20; number++) {
            const body = 'x'.repeat(number * 1000);
            const answer = await fetch(`http://127.0.0.1:${port}/${number}`, { method: 'POST', body, signal });
            if (await answer.text() !== body) throw new Error(`${number} came back otherwise`);
        }
        console.log('all');
        process.exit(0);
    })().catch((error) => { console.error(error); process.exit(1); });
"#;

#[test]
fn fetch_of_node_which_is_undici_gets_its_answers() {
    let recorder = echo();
    let edge = Edge::before(&recorder);
    let args = format!(r#"{{"port": {}}}"#, edge.address.port());
    assert_eq!(text(&run("node", &["-e", FETCH, &args])), "all\n");
}
