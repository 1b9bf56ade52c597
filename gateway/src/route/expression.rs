//! Expressions of rules, held against a request: no text is parsed, nothing is allocated but an address that is compared.

use std::borrow::Cow;
use std::cmp::Ordering;

use hatchway_proto::catalog::{Number, Order, Relation, Test, Text};

use super::condition::Asked;

/// Whether a request passes; none where a header that is compared is not there, and the rest does not decide it.
pub(super) fn holds(test: &Test, asked: Asked<'_>) -> Option<bool> {
    match test {
        Test::Is(is) => Some(*is),
        Test::Not(test) => holds(test, asked).map(|is| !is),
        // As CEL has it: who is decided needs no answer of the other.
        Test::And(one, other) => match holds(one, asked) {
            Some(false) => Some(false),
            Some(true) => holds(other, asked),
            None => holds(other, asked).filter(|is| !is),
        },
        Test::Or(one, other) => match holds(one, asked) {
            Some(true) => Some(true),
            Some(false) => holds(other, asked),
            None => holds(other, asked).filter(|is| *is),
        },
        Test::If(parts) => {
            let [when, then, other] = &**parts;
            holds(if holds(when, asked)? { then } else { other }, asked)
        }
        Test::Has(name) => Some(asked.headers(name).next().is_some()),
        Test::Texts(relation, one, other) => {
            let (one, other) = (text(one, asked)?, text(other, asked)?);
            Some(match relation {
                Relation::Order(order) => is_in(*order, one.cmp(&other)),
                Relation::StartsWith => one.starts_with(&*other),
                Relation::EndsWith => one.ends_with(&*other),
                Relation::Contains => one.contains(&*other),
            })
        }
        Test::OneOf(one, known) => {
            let one = text(one, asked)?;
            Some(known.iter().any(|known| **known == *one))
        }
        Test::Numbers(order, one, other) => {
            Some(is_in(*order, number(one, asked)?.cmp(&number(other, asked)?)))
        }
    }
}

fn is_in(order: Order, found: Ordering) -> bool {
    match order {
        Order::Equal => found.is_eq(),
        Order::Unequal => found.is_ne(),
        Order::Less => found.is_lt(),
        Order::LessOrEqual => found.is_le(),
        Order::Greater => found.is_gt(),
        Order::GreaterOrEqual => found.is_ge(),
    }
}

fn text<'t>(text: &'t Text, asked: Asked<'t>) -> Option<Cow<'t, str>> {
    Some(match text {
        Text::Method => asked.head.method.into(),
        Text::Host => without_port(asked.head.host),
        Text::Path => asked.head.path.into(),
        Text::Query => asked.head.query.unwrap_or_default().into(),
        Text::Header(name) => asked.headers(name).next()?.into(),
        Text::Address => match asked.client {
            Some(address) => address.to_string().into(),
            None => "".into(),
        },
        Text::Literal(literal) => (&**literal).into(),
    })
}

fn without_port(host: &str) -> Cow<'_, str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        Some(_) | None => host,
    };
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

fn number(number: &Number, asked: Asked<'_>) -> Option<i64> {
    match number {
        Number::Size(of) => i64::try_from(text(of, asked)?.len()).ok(),
        Number::Literal(number) => Some(*number),
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::http1::{Limits, parse_request};

    use super::*;

    #[test]
    fn a_request_answers_as_cel_would() {
        let request = "GET /shop/cart?x=1 HTTP/1.1\r\nHost: Shop.Example:80\r\nX-User: ada\r\nX-User: bob\r\n\r\n";
        let head = parse_request(request.as_bytes(), &Limits::default()).unwrap().unwrap();
        let asked = Asked { head: &head, client: "10.0.0.7".parse().ok() };
        for (text, expected) in [
            (r#"request.method == "GET" && request.path.startsWith("/shop/")"#, Some(true)),
            (r#"request.host == "shop.example""#, Some(true)),
            (r#"request.query == "x=1" && size(request.query) == 3"#, Some(true)),
            (r#"request.headers["x-user"] in ["ada", "eve"]"#, Some(true)),
            (r#"request.headers["X-USER"].endsWith("b")"#, Some(false)),
            (r#"client.address.startsWith("10.0.")"#, Some(true)),
            (r#"request.path.contains("car") ? request.method != "GET" : true"#, Some(false)),
            (r#""a" < "b" && "b" <= "b" && "c" > "b" && "b" >= "c""#, Some(false)),
            // Neither yes nor no, unless the other side decides it.
            (r#"request.headers["x-none"] == "a""#, None),
            (r#"!(request.headers["x-none"] == "a")"#, None),
            (r#"request.headers["x-none"] == "a" || true"#, Some(true)),
            (r#"request.headers["x-none"] == "a" && false"#, Some(false)),
            (r#"request.headers["x-none"] == "a" && true"#, None),
            (r#"has(request.headers.x_none) && request.headers["x_none"] == "a""#, Some(false)),
        ] {
            assert_eq!(holds(&Test::parse(text).unwrap(), asked), expected, "{text}");
        }
    }
}
