//! What operators call a program among its like: the last part of a key, a label of metrics.

use crate::listen::Address;

/// Reads a name that somebody has given.
///
/// # Errors
/// Says what a name may have in it.
pub fn parse_name(text: &str) -> Result<String, String> {
    match text.len() {
        1..=253 if text.chars().all(is_inside) => Ok(text.to_owned()),
        _ => Err("use letters, digits, '-', '_', '.' and ':', at most 253".to_owned()),
    }
}

/// The name of a program that listens on `address` and was given none: the machine's, with the port or the path. It is the same
/// after a start anew.
pub fn default_name(address: &Address) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match address {
        Address::Tcp(address) => format!("{}:{}", host.trim(), address.port()),
        Address::Unix(path) => {
            let path = path.to_string_lossy();
            let path = path.trim_matches('/').replace(|c| !is_inside(c), "-");
            format!("{}:{path}", host.trim())
        }
    }
}

fn is_inside(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_not_given_is_one_that_could_have_been() {
        for address in ["127.0.0.1:8090", "unix:/run/a b/node.sock"] {
            let name = default_name(&address.parse().expect("it is an address"));
            assert_eq!(parse_name(&name).as_ref(), Ok(&name));
        }
        assert!(default_name(&"unix:/run/a b/n".parse().unwrap()).ends_with(":run-a-b-n"));
        assert!(parse_name("a/b").is_err() && parse_name("").is_err());
    }
}
