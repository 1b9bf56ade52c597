//! The head for the function: without what a client may not say of itself, and with what routes and rules change.

use hatchway_proto::http1::{RequestEdit, RequestHead, write_request};

use crate::route::filters::joined;
use crate::route::{Applied, lane};

/// How names begin that are dropped whatever follows: a proxy in front of a function may say there who the user is.
const FORWARDED: &[u8; 12] = b"x-forwarded-";

/// Writes the head. `rest`: what follows the prefix of the route.
pub(super) fn write(
    out: &mut Vec<u8>,
    head: &RequestHead<'_>,
    edit: RequestEdit<'_>,
    filters: Applied<'_>,
    rest: &str,
) {
    if filters.is_none() {
        return without_forwarded(out, head, edit);
    }
    let (drop, mut added) = joined(filters.each().map(|filters| &filters.request), edit.drop);
    let path = filters.path(head, rest);
    let host = filters.host();
    if host.is_some() {
        added.push(("x-forwarded-host", head.host));
    }
    let mut altered = head.clone();
    altered.host = host.unwrap_or(head.host);
    altered.path = path.as_deref().unwrap_or(head.path);
    let edit = RequestEdit { drop: &drop, extra: &added, ..edit };
    without_forwarded(out, &altered, edit);
}

/// The same with the lane in its `baggage`, and no other.
pub(super) fn with_lane(
    out: &mut Vec<u8>,
    head: &RequestHead<'_>,
    edit: RequestEdit<'_>,
    (filters, rest): (Applied<'_>, &str),
    lane: Option<&str>,
) {
    let baggage = lane::baggage(head, lane);
    let mut drop = edit.drop.to_vec();
    drop.push(lane::FIELD);
    write(out, head, RequestEdit { drop: &drop, ..edit }, filters, rest);
    if let Some(baggage) = baggage {
        out.truncate(out.len() - 2);
        for part in [lane::FIELD, ": ", &baggage, "\r\n\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// Writes the head without whatever else a client says in the name of a proxy.
fn without_forwarded(out: &mut Vec<u8>, head: &RequestHead<'_>, edit: RequestEdit<'_>) {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let mut names = head.names().filter(|name| {
        name.first_chunk().is_some_and(|start: &[u8; 12]| start.map(fold) == *FORWARDED)
    });
    let Some(first) = names.next() else { return write_request(out, head, &edit) };
    let forwarded: Vec<String> = std::iter::once(first)
        .chain(names)
        .map(|name| name.iter().map(|&byte| char::from(fold(byte))).collect())
        .collect();
    let drop: Vec<&str> =
        edit.drop.iter().copied().chain(forwarded.iter().map(String::as_str)).collect();
    write_request(out, head, &RequestEdit { drop: &drop, ..edit });
}

#[cfg(test)]
mod tests {
    use hatchway_proto::http1::{Limits, parse_request};

    use super::*;
    use crate::route::Filters;

    fn written(filters: &str, lines: &str) -> String {
        let filters = Filters::new(&serde_json::from_str(filters).unwrap());
        let text = format!("GET /a/b?c HTTP/1.1\r\nHost: h:80\r\n{lines}\r\n");
        let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        let applied = Applied { route: filters.as_ref(), rule: None };
        let mut out = Vec::new();
        write(&mut out, &head, RequestEdit::default(), applied, "/b");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_set_added_and_removed() {
        let filters = r#"{"request_header_modifier": {
            "set": [{"name": "X-One", "value": "1"}], "add": [{"name": "x-two", "value": "2"}], "remove": ["x-three"]}}"#;
        let lines = "X_One: 0\r\nx-one: 00\r\nX-Two: 0\r\nX-THREE: 0\r\nX-Kept: 0\r\nX-Forwarded-For: 0\r\n";
        assert_eq!(
            written(filters, lines),
            "GET /a/b?c HTTP/1.1\r\nHost: h:80\r\nX-Two: 0\r\nX-Kept: 0\r\nx-one: 1\r\nx-two: 2\r\n\r\n"
        );
    }

    #[test]
    fn another_host_and_path_are_written_and_the_host_of_before_is_told() {
        let filters =
            r#"{"url_rewrite": {"hostname": "inner", "path": {"replace_prefix_match": "/v2"}}}"#;
        assert_eq!(
            written(filters, "X-Forwarded-Host: evil\r\n"),
            "GET /v2/b?c HTTP/1.1\r\nHost: inner\r\nx-forwarded-host: h:80\r\n\r\n"
        );
        assert_eq!(written("{}", ""), "GET /a/b?c HTTP/1.1\r\nHost: h:80\r\n\r\n");
    }
}
