//! What differs between two forms of an object, field by field.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Difference {
    /// Where: `shares[0].basis_points`; empty for the whole object.
    pub field: String,
    /// None where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// None where it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{before} -> {after}"),
            (None, Some(after)) => write!(f, "new, {after}"),
            (Some(before), None) => write!(f, "gone, was {before}"),
            (None, None) => f.write_str("the same"),
        }
    }
}

/// How the value of a key differs from another; texts that are no JSON are compared as they are.
pub fn differences(before: Option<&str>, after: Option<&str>) -> Vec<Difference> {
    let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let mut found = Vec::new();
    compare(&mut found, String::new(), before.map(read), after.map(read));
    found
}

fn compare(
    found: &mut Vec<Difference>,
    field: String,
    before: Option<Value>,
    after: Option<Value>,
) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(mut before)), Some(Value::Object(mut after))) => {
            let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
            names.sort();
            names.dedup();
            for name in names {
                let below = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
                compare(found, below, before.remove(&name), after.remove(&name));
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            let (mut before, mut after) = (before.into_iter(), after.into_iter());
            for index in 0..before.len().max(after.len()) {
                compare(found, format!("{field}[{index}]"), before.next(), after.next());
            }
        }
        (before, after) => found.push(Difference { field, before, after }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(before: Option<&str>, after: Option<&str>) -> Vec<String> {
        differences(before, after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_differs_is_named_with_its_field() {
        let before = r#"{"stable": "a", "shares": [{"version": "b", "basis_points": 500}], "tags": {"x": "b"}}"#;
        let after = r#"{"shares": [{"basis_points": 1000, "version": "b"}, 7], "stable": "a"}"#;
        let expected = [
            "shares[0].basis_points: 500 -> 1000",
            "shares[1]: new, 7",
            r#"tags: gone, was {"x":"b"}"#,
        ];
        assert_eq!(said(Some(before), Some(after)), expected);
        assert_eq!(said(Some(before), Some(before)), Vec::<String>::new());
    }

    #[test]
    fn what_is_new_gone_or_no_json_is_named_whole() {
        assert_eq!(said(None, Some("{}")), ["new, {}"]);
        assert_eq!(said(Some("{}"), None), ["gone, was {}"]);
        assert_eq!(said(Some("garbage"), Some("{}")), [r#""garbage" -> {}"#]);
        assert_eq!(said(None, None), Vec::<String>::new());
    }
}
