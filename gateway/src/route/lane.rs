//! The lane of a request: a colour that it keeps through all functions that it passes.
//!
//! It travels in `baggage` (W3C Baggage section 3.2): `hatchway-lane=NAME` among what else is there, which functions pass on with
//! their own calls as they do with `traceparent`. What a client says that nobody allows to is taken out.

use hatchway_proto::http1::RequestHead;

/// The field that carries it.
pub const FIELD: &str = "baggage";

/// Its member there.
const MEMBER: &str = "hatchway-lane";

/// The longest `baggage` that is written (W3C Baggage section 3.3.2); what is longer is not passed on.
const BAGGAGE_BYTES: usize = 8192;

/// The lane that a request says it is in.
pub fn said<'h>(head: &RequestHead<'h>) -> Option<&'h str> {
    members(head).find_map(lane)
}

/// The whole `baggage` of a request that is in `lane`; none where nothing is left to carry.
pub fn baggage(head: &RequestHead<'_>, lane: Option<&str>) -> Option<String> {
    let own = lane.map(|lane| format!("{MEMBER}={lane}"));
    let others = members(head).filter(|member| self::lane(member).is_none());
    // Ours first: readers that cut what is long keep it.
    let all: Vec<&str> = own.as_deref().into_iter().chain(others).collect();
    let all = all.join(",");
    match all.len() {
        0 => None,
        1..=BAGGAGE_BYTES => Some(all),
        _ => own,
    }
}

fn members<'h>(head: &RequestHead<'h>) -> impl Iterator<Item = &'h str> {
    let fields = head.fields().filter(|field| field.name.eq_ignore_ascii_case(FIELD));
    let texts = fields.filter_map(|field| std::str::from_utf8(field.value).ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

/// The lane that a member names, without its properties.
fn lane(member: &str) -> Option<&str> {
    let (key, value) = member.split(';').next()?.split_once('=')?;
    (key.trim() == MEMBER).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use hatchway_proto::http1::{Limits, parse_request};

    use super::*;

    fn with<T>(lines: &str, look: impl FnOnce(&RequestHead<'_>) -> T) -> T {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        look(&parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap())
    }

    #[test]
    fn a_lane_is_read_and_written_among_what_else_there_is() {
        let lines = "Baggage: user=ada;ttl=1, hatchway-lane = blue ; p=1\r\nbaggage: a=b\r\n";
        assert_eq!(with(lines, |head| said(head).map(str::to_owned)).as_deref(), Some("blue"));
        let written = |lane| with(lines, |head| baggage(head, lane));
        assert_eq!(written(Some("red")).as_deref(), Some("hatchway-lane=red,user=ada;ttl=1,a=b"));
        assert_eq!(written(None).as_deref(), Some("user=ada;ttl=1,a=b"));
        assert_eq!(with("baggage: hatchway-lane=x\r\n", |head| baggage(head, None)), None);
        assert_eq!(with("", said_none), None);
        let long = format!("baggage: a={}\r\n", "x".repeat(BAGGAGE_BYTES));
        assert_eq!(
            with(&long, |head| baggage(head, Some("b"))).as_deref(),
            Some("hatchway-lane=b")
        );
    }

    fn said_none(head: &RequestHead<'_>) -> Option<String> {
        said(head).map(str::to_owned)
    }
}
