//! What is wrong with what takes the place of a failure.

use crate::catalog::{DEGRADE_BODY_BYTES, Degrade, StaticAnswer};
use crate::failure::{DEGRADABLE, degradable};
use crate::http1;
use crate::manifest::nearest;
use crate::name::FunctionName;

use super::Found;

/// Entries of one function or release.
const ENTRIES: usize = 16;

/// Adds what is wrong with `degrade`, which belongs to `owner` where that is known.
pub(super) fn degrade(found: &mut Found, degrade: &[Degrade], owner: Option<&FunctionName>) {
    if degrade.len() > ENTRIES {
        found.add("degrade", format!("there are {}, {ENTRIES} are allowed", degrade.len()));
    }
    for (index, one) in degrade.iter().enumerate() {
        let field = format!("degrade[{index}]");
        if one.on.is_empty() {
            found.add(format!("{field}.on"), "names no failure: for all of them write \"any\"");
        }
        for reason in one.on.iter().filter(|on| *on != "any" && degradable(on).is_none()) {
            let words = DEGRADABLE.iter().map(|(word, _)| *word);
            let help = nearest(reason, words.clone()).map_or_else(
                || format!("use any, or some of {}", words.collect::<Vec<_>>().join(", ")),
                |word| format!("did you mean {word:?}?"),
            );
            found.add(format!("{field}.on"), format!("{reason:?} is no failure of a call: {help}"));
        }
        match (&one.function, owner) {
            (None, _) if one.answer.is_none() => {
                found.add(&field, "has neither a function nor an answer: give it one of them");
            }
            (Some(function), Some(owner)) if function == owner => {
                found.add(
                    format!("{field}.function"),
                    "is the function that fails: name another one",
                );
            }
            (Some(function), Some(owner)) if function.tenant() != owner.tenant() => {
                let message =
                    format!("{function} is another tenant's: name one of {}", owner.tenant());
                found.add(format!("{field}.function"), message);
            }
            (Some(_) | None, _) => {}
        }
        if let Some(given) = &one.answer {
            answer(found, &format!("{field}.answer"), given);
        }
    }
}

fn answer(found: &mut Found, field: &str, answer: &StaticAnswer) {
    if !(200..=599).contains(&answer.status) {
        let message = format!("{} is no final status: use 200 to 599", answer.status);
        found.add(format!("{field}.status"), message);
    }
    let kind = &answer.content_type;
    if kind.is_empty() || !kind.is_ascii() || !http1::is_field_value(kind.as_bytes()) {
        let message = format!("{kind:?} is no media type: write one such as text/html");
        found.add(format!("{field}.content_type"), message);
    }
    if answer.body.len() > DEGRADE_BODY_BYTES {
        let message = format!("has {} bytes, {DEGRADE_BODY_BYTES} are allowed", answer.body.len());
        found.add(format!("{field}.body"), message);
    }
    if matches!(answer.status, 204 | 304) && !answer.body.is_empty() {
        found.add(format!("{field}.body"), format!("an answer with {} has no body", answer.status));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let mut found = Found(Vec::new());
        let owner = FunctionName::parse("shop").unwrap();
        degrade(&mut found, &serde_json::from_str::<Vec<Degrade>>(text).unwrap(), Some(&owner));
        found.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (text, expected) in [
            (r#"[{"on": ["any"]}]"#, "degrade[0]: has neither a function nor an answer"),
            (
                r#"[{"on": [], "function": "spare"}]"#,
                "degrade[0].on: names no failure: for all of them write \"any\"",
            ),
            (
                r#"[{"on": ["no-rom"], "function": "spare"}]"#,
                "degrade[0].on: \"no-rom\" is no failure of a call: did you mean \"no-room\"?",
            ),
            (
                r#"[{"on": ["any"], "function": "shop"}]"#,
                "degrade[0].function: is the function that fails",
            ),
            (
                r#"[{"on": ["any"], "function": "other/a"}]"#,
                "degrade[0].function: other/a is another tenant's: name one of local",
            ),
            (
                r#"[{"on": ["any"], "answer": {"status": 100}}]"#,
                "degrade[0].answer.status: 100 is no final status",
            ),
            (
                r#"[{"on": ["any"], "answer": {"status": 200, "content_type": "a\r\nb"}}]"#,
                "degrade[0].answer.content_type",
            ),
            (
                r#"[{"on": ["any"], "answer": {"status": 204, "body": "x"}}]"#,
                "degrade[0].answer.body: an answer with 204 has no body",
            ),
        ] {
            let found = mistakes(text);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
        }
        let long = "x".repeat(DEGRADE_BODY_BYTES + 1);
        let text = format!(r#"[{{"on": ["oom"], "answer": {{"status": 200, "body": "{long}"}}}}]"#);
        assert!(mistakes(&text)[0].contains("65537 bytes, 65536 are allowed"));
        let good =
            r#"[{"on": ["no-room", "oom"], "function": "spare", "answer": {"status": 200}}]"#;
        assert_eq!(mistakes(good), Vec::<String>::new());
    }
}
