//! An ordinary start of Node takes up what an earlier one of its version has compiled, and is no other for that.

use std::fs;
use std::path::PathBuf;

use hatchway_tests::{Project, Up, eventually};
use serde_json::{Value, json};

const MANIFEST: &str = r#"
[function.compiled]
runtime = "node"
main = "server.js"
http = { path = "/" }
idle_timeout = "2s"
"#;

/// What a module may ask of Node, which somebody else has put together in its place.
const SERVER: &str = r"
const http = require('node:http');
const parts = require('./parts');
const data = require('./data.json');
http.createServer(async (request, response) => {
  const told = {
    parts: parts.names(), data, isMain: require.main === module, again: require('./parts') === parts,
    children: module.children.length, parent: parts.parent === module, resolved: require.resolve('./parts'),
    place: parts.place(), imported: (await parts.lazily()).default, late: require('./late.js'), filename: __filename,
  };
  response.end(JSON.stringify(told));
}).listen(8080);
";

const PARTS: &str = r"exports.place = () => new Error('here').stack.split('\n')[1].trim(); exports.parent = module.parent;
exports.names = () => [require('./one').name, require('a-package'), this === exports && typeof require.cache];
exports.lazily = () => import('./lazily.mjs');
";

fn project() -> Project {
    Project::new(MANIFEST)
        .file("server.js", SERVER)
        .file("parts/index.js", PARTS)
        .file("parts/one.js", "#!/usr/bin/env node\nexports.name = '\u{fc}ber';\n")
        .file("parts/lazily.mjs", "export default 'imported';\n")
        .file("late.js", "module.exports = 'late';\n")
        .file("data.json", "{\"a\": 1}")
        .file("node_modules/a-package/package.json", "{\"main\": \"lib/main.js\"}")
        .file("node_modules/a-package/lib/main.js", "module.exports = 'package';\n")
}

/// What starts had to do with records, by result.
fn count(up: &Up, result: &str) -> f64 {
    up.admin.metrics().sum("node_code_records_total", &[&format!("result=\"{result}\"")])
}

fn wait_for(up: &Up, result: &str, times: f64) {
    eventually(result, || (count(up, result) == times).then_some(()));
}

fn start_anew(up: &Up) -> Value {
    eventually("it is reaped", || up.admin.sandboxes().is_empty().then_some(()));
    up.get("/").json()
}

/// The file of the one record that there is.
fn record(project: &Project) -> PathBuf {
    let mut folders = fs::read_dir(project.state().join("code")).expect("the daemon made it");
    folders.next().expect("a record").expect("own folder").path().join("code")
}

#[test]
fn a_later_start_compiles_nothing_and_sees_no_difference() {
    let project = project();
    let up = Up::start_with(&project, &["--starts", "fresh"]);
    let first: Value = up.get("/").json();
    assert_eq!(first["parts"], json!(["\u{fc}ber", "package", "object"]), "{first}");
    assert_eq!(
        (&first["isMain"], &first["again"], &first["parent"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert_eq!(first["place"], "at exports.place (/app/parts/index.js:1:23)");
    assert_eq!(first["imported"], "imported");
    wait_for(&up, "recorded", 1.0);
    assert_eq!(start_anew(&up), first);
    wait_for(&up, "used", 1.0);
    up.stop();

    let up = Up::start_with(&project, &["--starts", "fresh"]);
    assert_eq!(up.get("/").json::<Value>(), first, "by the next daemon");
    wait_for(&up, "used", 1.0);
    assert_eq!(count(&up, "recorded"), 0.0);
    up.stop();
}

#[test]
fn a_record_that_is_not_taken_is_made_anew() {
    let project = project();
    let up = Up::start_with(&project, &["--starts", "fresh"]);
    let first: Value = up.get("/").json();
    wait_for(&up, "recorded", 1.0);
    let whole = fs::read(record(&project)).expect("a record");

    // Cut: it is none.
    fs::write(record(&project), &whole[..whole.len() / 2]).expect("own folder");
    assert_eq!(start_anew(&up), first);
    wait_for(&up, "rejected", 1.0);
    assert_eq!(start_anew(&up), first);
    wait_for(&up, "recorded", 2.0);

    // Of another V8, by its first bytes.
    let mut other = fs::read(record(&project)).expect("a record");
    let table = u64::from_le_bytes(other[16..24].try_into().expect("eight bytes"));
    let table = usize::try_from(table).expect("it is short") + 24;
    let known: Value = serde_json::from_slice(&other[24..table]).expect("JSON");
    let text = known["files"][0][1].as_u64().and_then(|bytes| usize::try_from(bytes).ok());
    let code = table + text.expect("the length of the first text");
    other[code..code + 16].fill(0xaa);
    fs::write(record(&project), other).expect("own folder");
    assert_eq!(start_anew(&up), first);
    wait_for(&up, "rejected", 2.0);
    up.stop();
}

/// What another version has compiled is of no use to this one, and may be worse.
#[test]
fn a_record_is_its_versions_alone() {
    let project = project();
    let up = Up::start_with(&project, &["--starts", "fresh"]);
    up.get("/");
    wait_for(&up, "recorded", 1.0);
    project.write("late.js", "module.exports = 'later';\n");
    eventually("another version", || {
        (up.get("/").json::<Value>()["late"] == "later").then_some(())
    });
    assert_eq!(count(&up, "used"), 0.0);
    wait_for(&up, "recorded", 2.0);
    up.stop();
}
