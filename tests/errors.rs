//! What a caller is told when the platform answers in place of the function: status, `Proxy-Status` (RFC 9209),
//! problem+json (RFC 9457), request id, component. Full queues, clocks, crashes and memory have files of their own.

use hatchway_tests::{Answer, PUPPET, Project, Up, eventually, puppet};

fn project() -> Project {
    let rude = "[function.rude]\nruntime = \"command\"\ncommand = [\"python3\", \"rude.py\"]\n\
                http = { path = \"/rude\" }\n";
    Project::new(&(puppet("puppet", "") + &puppet("limited", "rate = 1") + rude))
        .file("puppet.mjs", PUPPET)
        .file("rude.py", include_str!("functions/rude.py"))
}

/// `status error reason component`, of an answer that the platform made and that agrees with itself.
#[track_caller]
fn told(answer: &Answer) -> String {
    let problem = answer.problem();
    assert_eq!(problem.r#type, "about:blank");
    assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{}", answer.text());
    assert!(answer.header("proxy-status").starts_with("hatchway; error="), "{:?}", answer.headers);
    let error = answer.proxy_error();
    format!("{} {error} {} {}", answer.status, problem.reason, problem.component)
}

#[test]
fn a_path_without_a_route_is_told_so_by_the_gateway() {
    let project = project();
    let up = Up::start(&project);
    for path in ["/", "/nothing", "/puppetry", "/Puppet"] {
        assert_eq!(told(&up.get(path)), "404 destination_not_found no-route gateway", "{path}");
    }
    up.stop();
}

#[test]
fn a_request_over_the_rate_is_told_when_to_come_back_and_starts_nothing() {
    let project = project();
    let up = Up::start(&project);
    up.get("/limited").ok();
    let refused = up.get("/limited");
    assert_eq!(told(&refused), "429 http_request_denied rate-limited gateway");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(up.admin.sandbox("limited").requests, 1);
    eventually("an allowance", || (up.get("/limited").status == 200).then_some(()));
    up.stop();
}

#[test]
fn an_answer_that_is_no_http_is_not_passed_on() {
    let project = project();
    let up = Up::start(&project);
    assert_eq!(up.get("/rude/good").text(), "good");
    for path in ["garbage", "lengths", "both", "head", "switch"] {
        let answer = up.get(&format!("/rude/{path}"));
        assert_eq!(told(&answer), "502 http_protocol_error bad-answer sandbox", "{path}");
    }
    assert_eq!(told(&up.get("/rude/silence")), "502 connection_terminated closed-early sandbox");
    assert_eq!(up.get("/rude/good").text(), "good", "its process goes on");
    assert_eq!(up.admin.hatches("rude"), 1.0);
    up.stop();
}

#[test]
fn an_answer_that_breaks_off_is_seen_to_break_off_and_counted() {
    let project = project();
    let up = Up::start(&project);
    for (path, round) in [("cut", 1.0), ("chunks", 2.0)] {
        let answer = up.request("GET", &format!("/rude/{path}"), &[], b"");
        let is_whole = answer.is_ok_and(|answer| answer.status == 200);
        assert!(!is_whole, "{path} looks whole");
        eventually("a count of it", || {
            let failures = up.admin.metrics().sum("gateway_failures_total", &["local/rude"]);
            (failures == round).then_some(())
        });
    }
    up.stop();
}

#[test]
fn what_is_ours_in_an_answer_cannot_be_forged_by_a_function() {
    let project = project();
    let up = Up::start(&project);
    let answer = up.get("/rude/forged");
    assert_eq!(answer.text(), "ok");
    assert_ne!(answer.header("x-request-id"), "mine");
    for field in ["hatchway-start", "x-hop"] {
        assert_eq!(answer.header(field), "", "{field}");
    }
    up.stop();
}

#[test]
fn a_functions_own_answer_is_passed_on_whatever_its_status() {
    let project = project();
    let up = Up::start(&project);
    for status in [400, 404, 409, 429, 500, 502, 503, 504] {
        let answer = up.get(&format!("/puppet?do=throw&status={status}"));
        assert_eq!((answer.status, answer.header("proxy-status")), (status, ""));
    }
    up.stop();
}

#[test]
fn a_request_id_is_the_callers_where_it_is_a_sane_one_and_is_everywhere_the_same() {
    let project = project();
    let up = Up::start(&project);
    let with_id =
        |path, id| up.request("GET", path, &[("x-request-id", id)], b"").expect("an answer");
    let answer = with_id("/puppet", "order-66");
    assert_eq!(
        (answer.header("x-request-id"), answer.ok()["requestId"].as_str()),
        ("order-66", Some("order-66"))
    );
    assert_eq!(with_id("/nothing", "order-66").problem().instance, "order-66");

    for insane in ["a\"b", "a b", &"x".repeat(129)] {
        let answer = with_id("/puppet", insane);
        let own = answer.header("x-request-id").to_owned();
        assert!(own.len() == 32 && own != insane, "{own:?}");
        assert_eq!(answer.ok()["requestId"], own);
    }
    let (one, two) = (up.get("/puppet"), up.get("/puppet"));
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    up.stop();
}

#[test]
fn a_head_that_breaks_a_rule_is_refused_by_the_gateway_and_reaches_nobody() {
    let project = project();
    let up = Up::start(&project);
    let long = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(100_000));
    let fields = format!("GET / HTTP/1.1\r\nHost: test\r\n{}\r\n", "A: b\r\n".repeat(1000));
    for (head, status) in [
        ("GET /puppet HTTP/1.1\r\n\r\n", 400),
        ("GET /puppet HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /puppet HTTP/1.1\nHost: test\n\n", 400),
        ("GET /puppet HTTP/1.1\r\nHost: test\r\nBad Name: 1\r\n\r\n", 400),
        ("GET /puppet HTTP/1.1\r\nHost: test\r\nX: a\r\n b\r\n\r\n", 400),
        (
            "POST /puppet HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("POST /puppet HTTP/1.1\r\nHost: test\r\nContent-Length: +1\r\n\r\n", 400),
        ("GET /puppet HTTP/3.0\r\nHost: test\r\n\r\n", 505),
        (&long, 414),
        (&fields, 431),
    ] {
        let mut client = up.raw();
        client.send(head);
        let answer = client.head();
        let shown = &head[..head.len().min(80)];
        assert_eq!(answer.status, status, "{shown:?}");
        assert!(answer.field("proxy-status").contains("error=http_request_error"), "{shown:?}");
        assert_eq!(answer.field("content-type"), "application/problem+json");
        assert!(!answer.field("x-request-id").is_empty());
        assert_eq!(answer.field("connection"), "close");
    }
    assert_eq!(up.admin.sandboxes(), [], "nothing was started for them");
    eventually("a count of all ten", || {
        (up.admin.metrics().sum("gateway_bad_heads_total", &[]) == 10.0).then_some(())
    });
    up.stop();
}

#[test]
fn an_answer_to_head_has_no_body_even_when_it_is_an_error() {
    let project = project();
    let up = Up::start(&project);
    let mut client = up.raw();
    client.send("HEAD /nothing HTTP/1.1\r\nHost: test\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status, head.field("content-type")), (404, "application/problem+json"));
    // The connection goes on: were there a body, this would not be a head.
    assert_eq!(client.get("/puppet").head().status, 200);
    up.stop();
}

#[test]
fn what_a_client_says_about_itself_in_our_name_is_not_believed() {
    let manifest =
        "[function.headers]\nruntime = \"node\"\nmain = \"headers.js\"\nhttp = { path = \"/\" }\n";
    let source = "require('http').createServer((request, response) => \
                  response.end(JSON.stringify(request.headers))).listen(3000);";
    let project = Project::new(manifest).file("headers.js", source);
    let up = Up::start(&project);
    let forged = [
        ("x-forwarded-for", "10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("hatchway-tenant", "rival"),
        ("hatchway_tenant", "rival"),
        ("Hatchway-Caller", "root"),
        ("traceparent", "nonsense"),
        ("x-mine", "kept"),
    ];
    let seen = up.request("GET", "/", &forged, b"").expect("an answer").ok();
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen["hatchway-tenant"], "local");
    assert_eq!(seen["x-mine"], "kept");
    for gone in ["x-real-ip", "hatchway_tenant", "hatchway-caller"] {
        assert!(seen.get(gone).is_none(), "{gone} is in {seen}");
    }
    assert_ne!(seen["traceparent"], "nonsense");
    up.stop();
}
