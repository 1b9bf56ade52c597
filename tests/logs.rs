//! What functions print, line by line, and whose it was.

use std::io::{BufRead, BufReader};

use hatchway_tests::{PUPPET, PUPPET_PY, Project, Up, eventually, puppet};
use serde_json::Value;

fn project() -> Project {
    let snake = "[function.snake]\nruntime = \"python\"\nhandler = \"puppet.py#puppet\"\n\
                 http = { path = \"/snake\" }\n";
    Project::new(&(puppet("puppet", "") + &puppet("other", "") + snake))
        .file("puppet.mjs", PUPPET)
        .file("puppet.py", PUPPET_PY)
}

fn line_with(up: &Up, function: &str, text: &str) -> Value {
    eventually(&format!("a line with {text:?}"), || {
        let lines = up.admin.logs(&format!("function={function}"));
        lines.into_iter().find(|line| line["line"].as_str().is_some_and(|line| line.contains(text)))
    })
}

#[test]
fn a_line_tells_its_function_its_sandbox_its_stream_and_its_request() {
    let project = project();
    let up = Up::start(&project);
    for function in ["puppet", "snake"] {
        let answer = up.get(&format!("/{function}?do=print&line=chirp"));
        answer.ok();
        let sandbox = up.admin.sandbox(function);
        let (out, err) =
            (line_with(&up, function, "chirp"), line_with(&up, function, "error: chirp"));
        for line in [&out, &err] {
            assert_eq!(line["function"], format!("local/{function}"));
            assert_eq!(line["version"], sandbox.version);
            assert_eq!(line["sandbox"], sandbox.id);
            assert_eq!(line["request_id"], answer.header("x-request-id"), "{function}");
        }
        assert_eq!((&out["stream"], &err["stream"]), (&"stdout".into(), &"stderr".into()));
        up.output().wait_for(&format!("[{function}] chirp"));
    }
    up.stop();
}

#[test]
fn requests_side_by_side_keep_their_lines_apart() {
    let project = project();
    let up = Up::start(&project);
    let ids: Vec<_> = hatchway_tests::together(12, |n| {
        let answer = up.client().get(&format!("/puppet?do=print&line=number-{n}-"));
        answer.header("x-request-id").to_owned()
    });
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(line_with(&up, "puppet", &format!("number-{n}-"))["request_id"], *id);
    }
    up.stop();
}

#[test]
fn who_follows_hears_the_lines_of_one_function_as_they_come() {
    let project = project();
    let up = Up::start(&project);
    up.get("/puppet?do=print&line=before").ok();
    line_with(&up, "puppet", "error: before");
    let followed = hatchway_tests::Client::new(up.admin.address)
        .open("/v1/logs?function=puppet&lines=1&follow=true")
        .expect("an answer");
    let mut lines = BufReader::new(followed.into_body().into_reader()).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("it goes on").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    };
    assert!(next()["line"].as_str().is_some_and(|line| line.contains("before")), "the last one");
    for round in 0..3 {
        up.get("/other?do=print&line=of-another").ok();
        up.get(&format!("/puppet?do=print&line=round-{round}")).ok();
        // Both streams, in whatever order.
        for _ in 0..2 {
            let line = next();
            let text = line["line"].as_str().expect("text");
            assert!(text.contains(&format!("round-{round}")), "{text}");
        }
    }
    up.stop();
}

#[test]
fn a_line_without_end_is_cut_and_text_that_is_none_is_shown_all_the_same() {
    let manifest =
        "[function.raw]\nruntime = \"python\"\nhandler = \"raw.py#raw\"\nhttp = { path = \"/\" }\n";
    let source =
        "import os\n\ndef raw(ctx):\n    os.write(1, b'x' * 100000 + b'\\n\\xff\\xfe end\\n')\n";
    let project = Project::new(manifest).file("raw.py", source);
    let up = Up::start(&project);
    assert_eq!(up.get("/").status, 204);
    let last = line_with(&up, "raw", " end");
    assert_eq!(last["line"], "\u{fffd}\u{fffd} end");
    let lengths = up.admin.logs("function=raw&lines=1000");
    let lengths: Vec<_> =
        lengths.iter().map(|line| line["line"].as_str().map_or(0, str::len)).collect();
    assert!(lengths.iter().all(|length| *length <= 16 * 1024), "{lengths:?}");
    assert!(lengths.iter().sum::<usize>() >= 100_000, "{lengths:?}");
    up.stop();
}

#[test]
fn lines_outlive_their_sandbox() {
    let project = project();
    let up = Up::start(&project);
    up.get("/puppet?do=print&line=last-words").ok();
    assert_eq!(up.get("/puppet?do=exit&code=1").status, 502);
    up.output().wait_for("died    puppet");
    line_with(&up, "puppet", "last-words");
    up.stop();
}
