//! What we accept, held against a parser that many others use: it may accept more, and must read the same in what we accept.

use super::super::*;

/// Reads a request, if we accept it, as `httparse` does.
pub(super) fn request(data: &[u8]) {
    let Ok(Some(head)) = parse_request(data, &Limits::default()) else { return };
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut other = httparse::Request::new(&mut fields);
    let len = other.parse(data).map(httparse::Status::unwrap);
    assert_eq!(len, Ok(head.len));
    assert_eq!((other.method, version(other.version)), (Some(head.method), head.version));
    if other.path.is_some_and(|target| target.starts_with('/')) {
        let target =
            head.query.map_or(head.path.to_owned(), |query| format!("{}?{query}", head.path));
        assert_eq!(other.path, Some(&*target));
    }
    assert!(head.fields().eq(other.headers.iter().map(field)));
}

/// The same for a response.
pub(super) fn response(data: &[u8]) {
    let Ok(Some(head)) = parse_response(data, false, &Limits::default()) else { return };
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut other = httparse::Response::new(&mut fields);
    let len = other.parse(data).map(httparse::Status::unwrap);
    assert_eq!(len, Ok(head.len));
    assert_eq!((other.code, version(other.version)), (Some(head.status), head.version));
    assert_eq!(other.reason, Some(head.reason));
    assert!(head.fields().eq(other.headers.iter().map(field)));
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

fn field<'b>(header: &httparse::Header<'b>) -> Field<'b> {
    Field { name: header.name, value: header.value }
}

#[test]
fn every_row_of_the_tables_that_is_accepted_is_read_as_others_read_it() {
    cases::read(cases::REQUESTS).iter().for_each(|case| request(&case.bytes));
    cases::read(cases::RESPONSES).iter().for_each(|case| response(&case.bytes));
}
