//! What rules do with a request besides choosing a version, on real programs: in one process, and over a link.

use std::io::Write;
use std::process::{Command, Stdio};

use hatchway_tests::{Answer, Client, Pair, Project, Up, eventually, program_path};
use serde_json::Value;

const MANIFEST: &str = r#"
[function.shop]
runtime = "node"
main = "shop.js"
http = [
  { path = "/shop", filters = { url_rewrite = { path = { replace_prefix_match = "/v2" } }, request_header_modifier = { set = [{ name = "x-team", value = "blue" }], remove = ["cookie"] }, response_header_modifier = { set = [{ name = "cache-control", value = "no-store" }] } } },
  { path = "/old", filters = { request_redirect = { path = { replace_prefix_match = "/shop" }, status_code = 308 } } },
]
assets = "public"

[function.broken]
runtime = "node"
handler = "broken.mjs#broken"
http = { path = "/broken" }
degrade = [{ on = ["module-failed"], function = "spare", answer = { status = 503, content_type = "text/html", body = "<p>back soon" } }]

[function.dying]
runtime = "node"
handler = "dying.mjs#dying"
http = { path = "/dying" }
degrade = [{ on = ["crashed"], function = "spare", answer = { status = 200, body = "from the shelf" } }]

[function.spare]
runtime = "node"
handler = "spare.mjs#spare"
http = { path = "/spare" }

[function.live]
runtime = "node"
main = "shop.js"
http = { path = "/live" }
mirror = { function = "next" }

[function.next]
runtime = "node"
main = "next.js"
http = { path = "/next" }
"#;

/// Answers with what it was asked, once it has read all of it: a body that is not read is not copied.
const SHOP: &str = "require('node:http').createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  request.resume().on('end', () => response.end(JSON.stringify({ url: request.url, headers: request.headers })));
}).listen(process.env.HATCHWAY_SOCKET ?? process.env.PORT);\n";

/// Remembers what was posted to it, and tells it to whoever gets it.
const NEXT: &str = "const seen = [];
require('node:http').createServer((request, response) => {
  let body = '';
  request.on('data', (part) => { body += part; });
  request.on('end', () => {
    const mirror = request.headers['hatchway-mirror'];
    if (request.method === 'POST') seen.push({ url: request.url, mirror, body });
    response.end(JSON.stringify(seen));
  });
}).listen(process.env.HATCHWAY_SOCKET ?? process.env.PORT);\n";

fn project() -> Project {
    Project::new(MANIFEST)
        .file("next.js", NEXT)
        .file("shop.js", SHOP)
        .file("public/page.html", "<p>a page")
        .file("broken.mjs", "throw new Error('it does not load');\nexport const broken = 1;\n")
        .file("dying.mjs", "export const dying = () => process.exit(7);\n")
        .file("spare.mjs", "export const spare = () => ({ spare: true });\n")
}

/// Asks over HTTP/2, which the harness does not speak; gives status and head, in lower case, then the body.
fn over_http2(client: &std::net::SocketAddr, path: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["--http2-prior-knowledge", "-sSi", "--max-time", "60", "-b", "a=1"]);
    let output = command.arg(format!("http://{client}{path}")).output().expect("curl is installed");
    String::from_utf8(output.stdout).expect("the answer is text").to_lowercase()
}

fn explained(admin: &std::net::SocketAddr, path: &str) -> Value {
    let mut command = Command::new(program_path("hatchway"));
    command.args(["explain", "GET", path, "--json", "--admin", &format!("http://{admin}")]);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The decisions of one stage.
fn decisions(told: &Value, stage: &str) -> Vec<String> {
    let steps = told["steps"].as_array().expect("steps");
    let steps = steps.iter().filter(|step| step["stage"] == stage);
    steps.map(|step| step["decision"].as_str().expect("a decision").to_owned()).collect()
}

fn stands_for(answer: &Answer, reason: &str) {
    let expected = format!("hatchway; error=proxy_internal_response; details=\"{reason}\"");
    assert_eq!(answer.header("proxy-status"), expected, "{}", answer.text());
}

fn heads_are_changed(client: &Client, address: &std::net::SocketAddr) {
    let fields = [("cookie", "a=1"), ("x-team", "red")];
    let answer = client.request("GET", "/shop/cart?a=1", &fields, &[]).expect("an answer");
    assert_eq!(answer.header("cache-control"), "no-store");
    let seen = answer.ok();
    assert_eq!(seen["url"], "/v2/cart?a=1");
    assert_eq!(
        (&seen["headers"]["x-team"], &seen["headers"]["cookie"]),
        (&"blue".into(), &Value::Null)
    );
    let page = client.get("/shop/page.html");
    assert_eq!((page.text().as_str(), page.header("cache-control")), ("<p>a page", "no-store"));
    let moved = client.get("/old/cart?a=1");
    assert_eq!(moved.status, 308);
    assert_eq!(moved.header("location"), format!("http://{address}/shop/cart?a=1"));

    let text = over_http2(address, "/shop/cart");
    assert!(text.starts_with("http/2 200") && text.contains("cache-control: no-store"), "{text}");
    assert!(text.contains("/v2/cart") && !text.contains("a=1"), "{text}");
    assert!(over_http2(address, "/old/x").contains("/shop/x"));
}

fn failures_are_replaced(client: &Client) {
    let answer = client.get("/broken");
    assert_eq!(answer.ok()["spare"], true);
    stands_for(&answer, "module-failed");
    let answer = client.get("/dying");
    assert_eq!((answer.status, answer.text().as_str()), (200, "from the shelf"));
    stands_for(&answer, "crashed");
}

fn copies_are_made(client: &Client, address: &std::net::SocketAddr) {
    let answer = client.post("/live/one", &serde_json::json!({"a": 1}));
    assert_eq!(answer.ok()["url"], "/live/one");
    let mut command = Command::new("curl");
    command.args(["--http2-prior-knowledge", "-sS", "--max-time", "60", "-X", "POST", "-T", "-"]);
    let command = command.arg(format!("http://{address}/live/two"));
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.spawn().expect("curl is installed");
    child.stdin.take().expect("it is piped").write_all(b"over a stream").expect("curl reads");
    assert!(child.wait_with_output().expect("curl ends").status.success());
    let mut seen = eventually("both copies", || {
        let seen: Vec<Value> = client.get("/next").json();
        (seen.len() == 2).then_some(seen)
    });
    // Both may have waited for the same start.
    seen.sort_by_key(|copy| copy["url"].to_string());
    assert_eq!(
        seen[0],
        serde_json::json!({"url": "/live/one", "mirror": "1", "body": "{\"a\":1}"})
    );
    assert_eq!(seen[1]["body"], "over a stream");
}

#[test]
fn one_process_changes_heads_and_puts_something_in_the_place_of_failures() {
    let project = project();
    let up = Up::start(&project);
    heads_are_changed(&up, &up.address);
    failures_are_replaced(&up);
    copies_are_made(&up, &up.address);
    // The body has not been touched while no sandbox was there to read it.
    let answer = up.post("/broken", &serde_json::json!({"a": 1}));
    assert_eq!(answer.ok()["spare"], true);
    stands_for(&answer, "module-failed");

    let told = explained(&up.admin.address, "/shop/cart");
    let changes = decisions(&told, "trigger").join(" ");
    assert!(changes.contains("the path becomes /v2/cart"), "{changes}");
    assert!(changes.contains("the request loses cookie"), "{changes}");
    let told = explained(&up.admin.address, "/old/cart");
    assert_eq!((told["outcome"].as_str(), told["version"].as_str()), (Some("redirect"), None));
    let told = explained(&up.admin.address, "/broken");
    let stand_in = decisions(&told, "answer").join(" ");
    assert_eq!(stand_in, "function local/spare, else 503 text/html of 12 bytes");
}

#[test]
fn a_gateway_with_a_node_of_its_own_does_the_same_over_a_link() {
    let project = project();
    let pair = Pair::start(&project);
    heads_are_changed(&pair.gateway, &pair.gateway.address);
    failures_are_replaced(&pair.gateway);
    copies_are_made(&pair.gateway, &pair.gateway.address);
    // With a body the node has it already: the static answer comes.
    let answer = pair.gateway.post("/broken", &serde_json::json!({"a": 1}));
    assert_eq!((answer.status, answer.text().as_str()), (503, "<p>back soon"));
    stands_for(&answer, "module-failed");
}
