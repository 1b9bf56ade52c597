//! Expressions of rules, in a part of the Common Expression Language:
//! `request.path.startsWith("/a") && request.method in ["GET", "HEAD"]`.
//!
//! Only what a head and a client's address can answer in bounded time: no loops, no arithmetic, no regular expressions. What
//! is written is read once, when it is pushed, into a [`Test`], in which every part has a type; a request is held against that
//! and never meets the text. [`token`] cuts the text into words, [`read`] makes questions of them. Both are ours: rules come
//! from others, and the depth and the size of what is read have to be bounded before anything is built.
//!
//! A header that is not there makes a comparison fail as CEL has it: neither true nor false, and the rule does not hold unless
//! the rest decides it.

mod read;
mod token;

/// The longest expression, in bytes.
pub const EXPRESSION_BYTES: usize = 1024;

/// A question with three answers: yes, no, and none (a header is not there).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Always the same.
    Is(bool),
    /// No where it is yes.
    Not(Box<Test>),
    /// Yes where both are, no where one is not.
    And(Box<Test>, Box<Test>),
    /// Yes where one is.
    Or(Box<Test>, Box<Test>),
    /// The second where the first is, the third where it is not.
    If(Box<[Test; 3]>),
    /// A header is there.
    Has(Box<str>),
    /// A text and another one.
    Texts(Relation, Text, Text),
    /// A text is one of these.
    OneOf(Text, Vec<Box<str>>),
    /// A number and another one.
    Numbers(Order, Number, Number),
}

/// How texts are compared, byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// As wholes.
    Order(Order),
    /// The first begins with the second.
    StartsWith,
    /// It ends with it.
    EndsWith,
    /// It is somewhere in it.
    Contains,
}

/// Which comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Neither.
    Equal,
    /// One of them.
    Unequal,
    /// The first.
    Less,
    /// Not the second.
    LessOrEqual,
    /// The second.
    Greater,
    /// Not the first.
    GreaterOrEqual,
}

/// A text that a request has, or the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Of the request line.
    Method,
    /// In small letters, without port.
    Host,
    /// As sent, without the query.
    Path,
    /// What follows the first `?`; empty without one.
    Query,
    /// The first value of a field, whose name is in small letters.
    Header(Box<str>),
    /// The client's address; empty where it has none.
    Address,
    /// As written.
    Literal(Box<str>),
}

/// A number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Number {
    /// Bytes of a text.
    Size(Text),
    /// As written.
    Literal(i64),
}

impl Test {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, with its column (in bytes, from 1), and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > EXPRESSION_BYTES {
            return Err(format!("has {} bytes, {EXPRESSION_BYTES} are allowed", text.len()));
        }
        read::read(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_becomes_a_question() {
        let header = || Text::Header("x-user".into());
        for (text, expected) in [
            ("true", Test::Is(true)),
            (
                r#"request.headers["X-User"] == 'ada'"#,
                Test::Texts(Relation::Order(Order::Equal), header(), Text::Literal("ada".into())),
            ),
            (r#""x-user" in request.headers"#, Test::Has("x-user".into())),
            ("has(request.headers.host)", Test::Has("host".into())),
            (
                "!!true ? !false : true",
                Test::If(Box::new([
                    Test::Is(true),
                    Test::Not(Box::new(Test::Is(false))),
                    Test::Is(true),
                ])),
            ),
            (
                "true || false && true",
                Test::Or(
                    Box::new(Test::Is(true)),
                    Box::new(Test::And(Box::new(Test::Is(false)), Box::new(Test::Is(true)))),
                ),
            ),
            (
                r#"!request.path.startsWith("/a")"#,
                Test::Not(Box::new(Test::Texts(
                    Relation::StartsWith,
                    Text::Path,
                    Text::Literal("/a".into()),
                ))),
            ),
            (
                r#"request.method in ["GET", "HEAD"]"#,
                Test::OneOf(Text::Method, vec!["GET".into(), "HEAD".into()]),
            ),
            (
                "size(request.query) > 3",
                Test::Numbers(Order::Greater, Number::Size(Text::Query), Number::Literal(3)),
            ),
        ] {
            assert_eq!(Test::parse(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn what_a_request_cannot_answer_cheaply_is_refused_with_what_would_be_right() {
        let deep = format!("{}true{}", "(".repeat(200), ")".repeat(200));
        let wide = vec!["true"; 100].join(" && ");
        let long = format!("request.path == \"{}\"", "a".repeat(EXPRESSION_BYTES));
        for (text, why) in [
            ("", "column 1: the expression ends too early"),
            ("request.path ==", "column 16: the expression ends too early"),
            ("request.path", "column 1: is a value: compare it"),
            ("request.pathh == 'a'", "column 9: there is no pathh here: there are request.method"),
            ("path == 'a'", "column 1: there is no path: there are"),
            ("request.path == 3", "column 14: a text is compared with a text"),
            ("request.path == true", "column 14: a text is compared with a text"),
            ("[1, 2].all(x, x > 0)", "a list holds texts"),
            ("request.path.exists(h, h == 'a')", "column 14: loops"),
            ("request.path.matches('(a+)+$')", "\"matches\" is not asked here"),
            ("request.path + 'a' == 'b'", "\"+\" is not asked here"),
            ("request.headers[request.path] == 'a'", "only request.headers[\"name\"]"),
            ("request.path == 'a", "column 17: the text has no end: ' is missing"),
            ("request.path == 'a' request", "column 21: here it should end"),
            ("request.path = 'a'", "column 14: '=' has no meaning here"),
            ("size(request.path) < 99999999999999999999", "is not a whole number"),
            ("true ? 'a' : false", "column 8: is a value"),
            (&deep, "more than 24 parts inside each other"),
            (&wide, "more than 64 parts"),
            (&long, "1024 are allowed"),
        ] {
            let error = Test::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest::proptest! {
        /// Whatever comes is read or refused.
        #[test]
        fn nothing_breaks_the_reader(words in proptest::collection::vec(proptest::sample::select(vec![
            "request", ".", "path", "headers", "[", "]", "(", ")", "'a'", "\"b\"", "==", "&&", "||", "!", "in", "?", ":", "3",
            "-", "size", "has", "startsWith", "true", ",", "client", "address", "\\", "\u{e9}", "'",
        ]), 0..300)) {
            let text = words.join(" ");
            if let Err(why) = Test::parse(&text) {
                proptest::prop_assert!(!why.is_empty());
            }
        }
    }
}
