//! What is wrong with a mirror.

use crate::catalog::{BASIS_POINTS, MIRROR_BODY_BYTES, Mirror};
use crate::name::FunctionName;

use super::Found;

/// Adds what is wrong with `mirror`, which belongs to `owner` where that is known.
pub(super) fn mirror(
    found: &mut Found,
    field: &str,
    mirror: &Mirror,
    owner: Option<&FunctionName>,
) {
    match (&mirror.version, &mirror.function) {
        (None, None) => found.add(field, "leads nowhere: give it a version or a function"),
        (Some(_), Some(_)) => {
            found.add(field, "has a version and a function; leave one of them out")
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
    if let (Some(function), Some(owner)) = (&mirror.function, owner) {
        let why = match function {
            same if same == owner => {
                Some("is the function itself: name a version of it".to_owned())
            }
            other if other.tenant() != owner.tenant() => {
                Some(format!("{other} is another tenant's: name one of {}", owner.tenant()))
            }
            _ => None,
        };
        if let Some(why) = why {
            found.add(format!("{field}.function"), why);
        }
    }
    if mirror.basis_points > BASIS_POINTS {
        let message =
            format!("{} is more than everybody: at most {BASIS_POINTS}", mirror.basis_points);
        found.add(format!("{field}.basis_points"), message);
    }
    if mirror.max_body_bytes > MIRROR_BODY_BYTES {
        let message = format!("{} is too long: at most {MIRROR_BODY_BYTES}", mirror.max_body_bytes);
        found.add(format!("{field}.max_body_bytes"), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let owner = FunctionName::parse("shop").unwrap();
        for (text, expected) in [
            ("{}", "mirror: leads nowhere: give it a version or a function"),
            (r#"{"function": "shop"}"#, "mirror.function: is the function itself"),
            (r#"{"function": "other/a"}"#, "mirror.function: other/a is another tenant's"),
            (r#"{"function": "a", "basis_points": 10001}"#, "mirror.basis_points: 10001 is more"),
            (r#"{"function": "a", "max_body_bytes": 1048577}"#, "mirror.max_body_bytes: 1048577"),
            (
                r#"{"function": "a", "version": "00000000000000aa"}"#,
                "mirror: has a version and a function",
            ),
        ] {
            let mut found = Found(Vec::new());
            mirror(&mut found, "mirror", &serde_json::from_str(text).unwrap(), Some(&owner));
            let [one] = found.0.as_slice() else { panic!("{text}: {:?}", found.0) };
            assert!(one.to_string().starts_with(expected), "{text}: {one}");
        }
    }
}
