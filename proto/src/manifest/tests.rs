//! The manifest as a whole: what is accepted, and each mistake with its place and its help.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// The three ways to write a function that the documentation shows.
pub(super) const EXAMPLE: &str = r#"
[function.hello]
runtime = "node"                 # node | python | command
handler = "src/hello.mjs#hello"  # plain handler(ctx, ...args)
http = { path = "/hello" }
memory = "128MiB"
cpu = "500m"
concurrency = 16
min = 0
max = 4
idle_timeout = "30s"
timeouts = { queue = "5s", start = "10s", first_byte = "30s", idle = "60s", run = "300s" }
env = { GREETING = "hi" }

[function.shop]
runtime = "node"
main = "server.js"
http = { host = "shop.localhost", path = "/" }

[function.any]
runtime = "command"
command = ["./server", "--quiet"]
http = [{ path = "/any" }, { host = "any.localhost" }]
"#;

/// A function that is right as long as `lines` are.
fn with(lines: &str) -> String {
    let rest = "runtime = \"node\"\nmain = \"a.js\"\nhttp = { path = \"/a\" }\n";
    let own: Vec<&str> =
        lines.lines().filter_map(|line| line.split_once(" = ")?.0.into()).collect();
    let rest: String = rest
        .split_inclusive('\n')
        .filter(|line| !own.contains(&line.split(' ').next().unwrap_or("")))
        .collect();
    format!("[function.a]\n{lines}\n{rest}")
}

fn mistakes(text: &str) -> Vec<String> {
    let found = parse("hatchway.toml", text).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_one(text: &str, line: usize, offending: &str, message: &str, help: &str) {
    let found = parse("hatchway.toml", text).expect_err(text);
    let [one] = found.as_slice() else { panic!("{text}\n{found:#?}") };
    let place = one.place.as_ref().expect("a mistake of the text has a place");
    assert_eq!((place.line, place.text.as_str()), (line, offending), "{one}");
    assert!(one.message.contains(message), "{:?} in {:?}", message, one.message);
    assert!(one.help.as_deref().unwrap_or("").contains(help), "{:?} in {:?}", help, one.help);
}

#[test]
fn the_documented_example_is_read_as_documented() {
    let manifest = parse("hatchway.toml", EXAMPLE).unwrap();
    let [hello, shop, any] = manifest.functions.as_slice() else { panic!("{manifest:?}") };
    assert_eq!(hello.name.as_str(), "local/hello");
    let (module, export) = ("src/hello.mjs".to_owned(), "hello".to_owned());
    assert_eq!(hello.runtime, Runtime::NodeHandler { module, export });
    assert_eq!(hello.resources.memory_bytes, 128 << 20);
    assert_eq!(hello.resources.cpu_millis, 500);
    assert_eq!(hello.scale, Scale { concurrency: 16, min: 0, max: 4 });
    assert_eq!(hello.idle_timeout, Duration::from_secs(30));
    assert_eq!(hello.clocks.run, Duration::from_secs(300));
    assert_eq!(hello.env["GREETING"], "hi");
    assert_eq!(shop.runtime, Runtime::NodeMain { script: "server.js".to_owned() });
    assert_eq!(shop.routes[0].host.as_deref(), Some("shop.localhost"));
    let argv = vec!["./server".to_owned(), "--quiet".to_owned()];
    assert_eq!(any.runtime, Runtime::Command { argv });
    let routes: Vec<_> = any.routes.iter().map(|r| (r.host.as_deref(), r.path.as_str())).collect();
    assert_eq!(routes, [(None, "/any"), (Some("any.localhost"), "/")]);
}

#[test]
fn what_is_not_written_has_its_default() {
    let manifest = parse("hatchway.toml", &with("")).unwrap();
    let function = &manifest.functions[0];
    assert_eq!(manifest.tenant, TenantName::local());
    assert_eq!(function.package, ".");
    assert_eq!(function.resources.memory_bytes, defaults::MEMORY_BYTES);
    assert_eq!(function.settings.queue_depth, catalog::DEFAULT_QUEUE_DEPTH);
    assert_eq!(function.settings.rate_per_second, None);
    assert_eq!(function.network, Network::None);
    assert_eq!(function.clocks.queue, defaults::QUEUE_CLOCK);
}

#[test]
fn a_default_clock_gives_way_to_a_shorter_run_and_max_to_a_larger_min() {
    let manifest = parse("f", &with("timeouts = { run = \"8s\" }\nmin = 9")).unwrap();
    let function = &manifest.functions[0];
    assert_eq!(function.clocks.first_byte, Duration::from_secs(8));
    assert_eq!(function.clocks.idle, Duration::from_secs(8));
    assert_eq!((function.scale.min, function.scale.max), (9, 9));
}

/// A line of a function, the offending text in it, the message, the help.
const LINES: &[(&str, &str, &str, &str)] = &[
    ("memry = \"1GiB\"", "memry", "unknown field `memry`", "did you mean `memory`?"),
    ("colour = 1", "colour", "unknown field `colour`", "known fields here are runtime, handler"),
    ("path = \"/x\"", "path", "unknown field", "`http = { path = "),
    ("first_byte = \"1s\"", "first_byte", "unknown field", "`timeouts = { first_byte = "),
    ("memory = \"128MB\"", "\"128MB\"", "is not a size", ""),
    ("memory = 128", "128", "`memory` is a string, not an integer", "`memory = \"128MiB\"`"),
    ("memory = \"1KiB\"", "\"1KiB\"", "no runtime starts with 1KiB", "at least \"4MiB\""),
    ("tmp = \"1GiB\"", "\"1GiB\"", "/tmp is memory", "more `memory`"),
    ("cpu = \"0.5\"", "\"0.5\"", "is not a share of cores", ""),
    ("concurrency = 0", "0", "`concurrency` cannot be 0", "from 1 to 65535"),
    ("concurrency = \"16\"", "\"16\"", "a whole number, not a string", "`concurrency = 16`"),
    ("max = 0", "0", "`max` cannot be 0", "from 1 to 1000"),
    ("max = -1", "-1", "`max` cannot be -1", "from 0 up"),
    ("max = 99999999999999999999", "99999999999999999999", "cannot be", "from 0 up"),
    ("min = 5\nmax = 4", "5", "`min` is 5 and `max` is 4", "at most 4"),
    ("idle_timeout = \"30\"", "\"30\"", "is not a duration", ""),
    ("idle_timeout = \"0s\"", "\"0s\"", "has passed before it begins", ""),
    ("timeouts = { fist_byte = \"1s\" }", "fist_byte", "unknown field", "`first_byte`"),
    (
        "timeouts = { first_byte = \"2s\", run = \"1s\" }",
        "\"2s\"",
        "`first_byte` can never run out: `run` ends after 1s",
        "at most \"1s\"",
    ),
    ("queue = 0", "0", "`queue` cannot be 0", "from 1"),
    ("rate = 0", "0", "`rate` cannot be 0", "from 1"),
    ("network = \"opne\"", "\"opne\"", "is not a network", "did you mean \"open\"?"),
    (
        "network = \"egress-proxy\"",
        "\"egress-proxy\"",
        "leads nowhere without `egress`",
        "egress = [\"api.example.com\"]",
    ),
    (
        "egress = [\"a.example\"]",
        "[\"a.example\"]",
        "what the proxy of the node allows",
        "network = \"egress-proxy\"",
    ),
    (
        "network = \"egress-proxy\"\negress = [\"https://a.example\"]",
        "\"https://a.example\"",
        "is a URL",
        "",
    ),
    (
        "network = \"egress-proxy\"\negress = \"a.example\"",
        "\"a.example\"",
        "a list of strings",
        "egress = [",
    ),
    ("warmup = \"products\"", "\"products\"", "is no path", ""),
    ("warmup = [\"/\", 7]", "7", "a path or a list of paths", "`warmup = [\"/products"),
    (
        "protocol = \"h2c\"\nwarmup = \"/\"",
        "\"/\"",
        "requests that warm up are HTTP/1.1",
        "remove `warmup`",
    ),
    (
        "degrade = [{ on = [\"oomm\"], answer = { status = 503 } }]",
        "[{ on = [\"oomm\"], answer = { status = 503 } }]",
        "degrade[0].on: \"oomm\" is no failure of a call: did you mean \"oom\"?",
        "",
    ),
    (
        "degrade = [{ on = [\"any\"], answer = {} }]",
        "{}",
        "missing field `status`",
        "`degrade = [{",
    ),
    (
        "mirror = { function = \"a\" }",
        "{ function = \"a\" }",
        "mirror.function: is the function itself",
        "",
    ),
    ("degrade = 1", "1", "a list of tables", "`degrade = [{"),
    ("server_timing = 1", "1", "true or false", "`server_timing = true`"),
    ("env = { PORT = \"1\" }", "PORT", "`PORT` is set by the platform", ""),
    ("env = { HATCHWAY_X = \"1\" }", "HATCHWAY_X", "is set by the platform", ""),
    ("env = { A-B = \"1\" }", "A-B", "cannot be an environment variable", "`A_B`"),
    ("env = { A = 3000 }", "3000", "is a string, not integer", "write \"3000\""),
    ("package = \"/srv\"", "\"/srv\"", "is an absolute path", "\"srv\""),
    ("package = \"../x\"", "\"../x\"", "leaves its folder", ""),
    ("assets = \".\"", "\".\"", "the whole package would be public", "\"public\""),
    ("runtime = \"nodejs\"", "\"nodejs\"", "is not a runtime", "did you mean \"node\"?"),
    ("runtime = \"java\"", "\"java\"", "is not a runtime", "node, python or command"),
    (
        "runtime = \"python\"",
        "\"a.js\"",
        "`main` belongs to the node runtime",
        "`app = \"main:app\"`",
    ),
    ("main = \"a.ts\"", "\"a.ts\"", "is not a JavaScript file", "compile TypeScript"),
    ("handler = \"b.js#x\"", "\"a.js\"", "`handler` and `main` exclude each other", "keep one"),
    ("http = {}", "{}", "a route has a path, a host or both", "{ path = \"/a\" }"),
    ("http = []", "[]", "the list has no route", "{ path = \"/a\" }"),
    ("http = \"/a\"", "\"/a\"", "a table or a list of tables", "`http = { path = \"/hello\" }`"),
    ("http = { path = \"a\" }", "\"a\"", "a path starts with `/`", "write \"/a\""),
    ("http = { path = \"/a/\" }", "\"/a/\"", "without a last `/`", "write \"/a\""),
    ("http = { path = \"/a/*\" }", "\"/a/*\"", "not a pattern", "write \"/a\""),
    ("http = { path = \"/a/{id}\" }", "\"/a/{id}\"", "not a pattern", "write \"/a\""),
    ("http = { path = \"/a/../b\" }", "\"/a/../b\"", "no empty, `.` or `..` part", ""),
    ("http = { path = \"/a?b\" }", "\"/a?b\"", "cannot hold '?'", ""),
    ("http = { host = \"Shop.de:80\" }", "\"Shop.de:80\"", "is not a host", "\"shop.de\""),
    (
        "http = { path = \"/\", filters = { url_rewite = { hostname = \"b\" } } }",
        "url_rewite",
        "unknown field `url_rewite`, expected one of `request_header_modifier`",
        "`filters = {",
    ),
    (
        "http = { path = \"/\", filters = { url_rewrite = { hostname = \"B\" } } }",
        "{ url_rewrite = { hostname = \"B\" } }",
        "filters.url_rewrite.hostname: \"B\" has upper case: write \"b\"",
        "",
    ),
    ("http = { hots = \"a\", path = \"/\" }", "hots", "unknown field", "`host`"),
];

#[test]
fn a_wrong_line_is_reported_once_where_it_stands_with_what_would_be_right() {
    for (line, offending, message, help) in LINES {
        let text = with(line);
        let before = &text[..text.find(offending).expect("the offending text is in it")];
        let line = 1 + before.matches('\n').count();
        assert_one(&text, line, offending, message, help);
    }
}

#[test]
fn what_a_function_lacks_is_reported_at_its_name() {
    let http = "http = { path = \"/\" }";
    let cases = [
        (http.to_owned(), "does not say its runtime", "add `runtime = \"node\"`"),
        (format!("{http}\napp = \"m:a\""), "does not say its runtime", "\"python\""),
        (
            format!("{http}\nruntime = \"node\""),
            "does not say what to run",
            "or `main = \"server.js\"`",
        ),
        (format!("{http}\nruntime = \"python\""), "does not say what to run", "hello.py#hello"),
        ("runtime = \"node\"\nmain = \"a.js\"".to_owned(), "nothing leads to `x`", "\"/x\""),
    ];
    for (lines, message, help) in cases {
        assert_one(&format!("[function.x]\n{lines}\n"), 1, "x", message, help);
    }
}

#[test]
fn handlers_and_applications_are_named_in_full() {
    let cases = [
        ("node", "handler = \"a.mjs\"", "does not say which function", "\"a.mjs#handler\""),
        ("node", "handler = \"a.mjs#\"", "cannot be the name of a function", "\"a.mjs#handler\""),
        ("node", "handler = \"a.py#x\"", "is not a JavaScript file", ".mjs, .js or .cjs"),
        ("node", "handler = \"../a.js#x\"", "leaves its folder", ""),
        ("python", "handler = \"a.js#x\"", "is not a Python file", ".py"),
        ("python", "app = \"main.py\"", "does not say which application", "\"main:app\""),
        ("python", "app = \"src/main.py:app\"", "as Python imports it", "\"src.main:app\""),
        ("command", "command = \"./run now\"", "no shell reads it", "[\"./run\", \"now\"]"),
        ("command", "command = []", "names no program", "[\"./server\", \"--quiet\"]"),
        ("command", "command = [\"a\", 1]", "a list of strings, not an integer", ""),
    ];
    for (runtime, line, message, help) in cases {
        let text =
            format!("[function.x]\nruntime = \"{runtime}\"\nhttp = {{ path = \"/\" }}\n{line}\n");
        let found = mistakes(&text);
        let [one] = found.as_slice() else { panic!("{line}: {found:?}") };
        assert!(one.contains(message) && one.contains(help), "{one}");
        assert!(one.starts_with("hatchway.toml:4:"), "{one}");
    }
}

#[test]
fn names_and_tenants_are_labels() {
    let text = with("").replace("function.a", "function.My_Shop");
    assert_one(&text, 1, "My_Shop", "is not a name", "");
    let text = format!("project = {{ tenant = \"A\", name = \"\" }}\n{}", with(""));
    assert_eq!(mistakes(&text).len(), 2);
}

#[test]
fn every_mistake_is_reported_in_the_order_of_the_text() {
    let text = "[function.a]\nruntime = \"nod\"\nmemory = \"1GB\"\nmax = 0\nhttp = { path = \"x\" }\n\
                [function.b]\ncolour = 1\n";
    let found = mistakes(text);
    let lines: Vec<&str> = found.iter().map(|one| one.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["2", "3", "4", "5", "6", "6", "7"], "{found:#?}");
}

#[test]
fn two_functions_on_one_route_are_told_apart_from_two_hosts() {
    let both =
        |second: &str| format!("{}{}", with(""), with(second).replace("function.a", "function.b"));
    assert!(parse("f", &both("http = { path = \"/a\", host = \"b.localhost\" }")).is_ok());
    let text = both("");
    assert_one(
        &text,
        10,
        "{ path = \"/a\" }",
        "`/a` leads to `a` already (hatchway.toml:5)",
        "\"/a/b\"",
    );
}

#[test]
fn manifests_are_compared_with_each_other() {
    let one = parse("one.toml", &with("")).unwrap();
    let two = parse("two.toml", &with("")).unwrap();
    let found: Vec<String> = clashes([&one, &two]).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("two.toml:5:8: `/a` leads to `a` already (one.toml:5)"),
        "{found:?}"
    );
    assert!(found[1].starts_with("two.toml:1:11: tenant `local` has a function `a`"), "{found:?}");
    let other = with("http = { path = \"/b\" }").replace("function.a", "function.b");
    assert!(clashes([&one, &parse("three.toml", &other).unwrap()]).is_empty());
}

#[test]
fn broken_syntax_is_reported_with_the_wrong_values_of_the_other_lines_only() {
    let text = "[function.a]\nruntime = node\nmemory = 128MiB\ncpu = \"x\"\n";
    let found = mistakes(text);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].contains(":2:11:") && found[0].contains("write \"node\""), "{}", found[0]);
    assert!(found[1].contains("write \"128MiB\""), "{}", found[1]);
    assert!(found[2].contains("is not a share of cores"), "{}", found[2]);
    assert_eq!(mistakes("[function.a\nruntime = \"node\"\n").len(), 1);
    assert_eq!(mistakes("").len(), 1);
}

#[test]
fn a_version_is_its_spec_and_its_package_and_not_where_that_lies() {
    let id = |text: &str, root: &str, digest: &str| {
        let manifest = parse("f", text).unwrap();
        let package = catalog::Package { root: Some(root.into()), digest: digest.to_owned() };
        version_id(&manifest.functions[0].version(package))
    };
    let here = id(&with(""), "/here", "d1");
    assert_eq!(here, id(&with(""), "/there", "d1"));
    assert_ne!(here, id(&with(""), "/here", "d2"));
    assert_ne!(here, id(&with("max = 3"), "/here", "d1"));
}

#[test]
fn a_manifest_becomes_the_objects_of_a_catalog() {
    let manifest = parse("f", EXAMPLE).unwrap();
    let package = catalog::Package { root: Some("/p".into()), digest: "d".to_owned() };
    let objects = objects(manifest.functions.iter().map(|function| (function, package.clone())));
    assert_eq!((objects.functions.len(), objects.versions.len()), (3, 3));
    assert_eq!(&**objects.routes.keys().next().unwrap(), "local.any.0");
    for (name, release) in &objects.releases {
        assert_eq!(&objects.versions[&release.stable].function, name);
    }
    let json = serde_json::to_string(&objects).unwrap();
    assert_eq!(serde_json::from_str::<catalog::Objects>(&json).unwrap(), objects);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = parse("f", &text);
    }

    #[test]
    fn no_damage_to_a_right_manifest_makes_the_parser_panic(
        start in 0..EXAMPLE.len(), length in 0..40_usize, patch in "[\\PC\n]{0,8}",
    ) {
        let start = EXAMPLE.floor_char_boundary(start);
        let end = EXAMPLE.floor_char_boundary((start + length).min(EXAMPLE.len()));
        let text = format!("{}{patch}{}", &EXAMPLE[..start], &EXAMPLE[end..]);
        for one in parse("f", &text).err().unwrap_or_default() {
            let place = one.place.expect("a mistake of the text has a place");
            prop_assert!(place.line <= text.lines().count() + 1);
        }
    }
}
