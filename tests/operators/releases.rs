//! A release is somebody's work: other commands leave it alone.

use crate::place::{Place, build, everywhere};

fn a_canary_is_pushed_and_apply_does_not_end_it_by_the_way(rules: &Place) {
    let (stable, canary, third) = (build("stable"), build("canary"), build("third"));
    rules.apply(&stable, &[]);
    let folder = canary.folder().display().to_string();
    let added = ["release", "hello", "--add", &folder, "--share", "new=5%"];
    let told = rules.json(&[&added[..], &["--sticky", "cookie:session"]].concat());
    let id = told["release"]["shares"][0]["version"].as_str().expect("a version").to_owned();
    assert_eq!(rules.json(&["release", "hello"]), told, "it is written, and can be read");

    // The manifest states the stable version that is there: the canary goes on.
    let told = rules.apply(&stable, &[]);
    assert_eq!((&told["written"], &told["kept"][0]), (&0.into(), &"local/hello".into()));
    let folder = third.folder().display().to_string();
    let why = rules.refuses(&["apply", &folder]);
    assert!(why.contains("a release of local/hello is under way"), "{why}");
    assert!(why.contains("--keep-releases") && why.contains("--end-releases"), "{why}");
    let told = rules.apply(&third, &["--keep-releases"]);
    assert_eq!(told["written"], 1, "the version alone: {told}");
    let release = rules.json(&["release", "hello"])["release"].take();
    assert_eq!(release["shares"][0]["version"], id.as_str());
    rules.apply(&third, &["--end-releases"]);
    let release = rules.json(&["release", "hello"])["release"].take();
    assert_eq!(release.get("shares"), None, "{release}");
}

everywhere! {
    a_canary_is_pushed_and_apply_does_not_end_it_by_the_way,
}
