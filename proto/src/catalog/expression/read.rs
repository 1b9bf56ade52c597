//! Questions out of words: by precedence, each part with its type. Depth and number of parts are bounded as they are read.

use super::token::{Token, Word, tokens};
use super::{Number, Order, Relation, Test, Text};

/// Its parts at most: each costs a request a comparison.
const PARTS: usize = 64;

/// Parts inside parts.
const DEPTH: usize = 24;

const FIELDS: &str = "request.method, request.host, request.path, request.query, request.headers[\"name\"] and client.address";

/// A part that was read.
#[derive(Debug)]
enum Term {
    Test(Test),
    Text(Text),
    Number(Number),
    List(Vec<Box<str>>),
    Request,
    Client,
    Headers,
}

struct Reader<'t> {
    tokens: Vec<Token<'t>>,
    next: usize,
    parts: usize,
    depth: usize,
}

/// Reads the whole of a text.
pub(super) fn read(text: &str) -> Result<Test, String> {
    let mut reader = Reader { tokens: tokens(text)?, next: 0, parts: 0, depth: 0 };
    let at = reader.at();
    let term = reader.whole()?;
    if reader.peek() != &Word::End {
        return Err(reader.wrong("here it should end, or go on with && or ||"));
    }
    reader.test(at, term)
}

impl<'t> Reader<'t> {
    fn peek(&self) -> &Word<'t> {
        &self.tokens[self.next].word
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    /// The end is never passed.
    fn take(&mut self) -> Word<'t> {
        let word = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        word
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.peek(), Word::Sign(next) if *next == sign);
        if is_next {
            self.take();
        }
        is_next
    }

    fn needs(&mut self, sign: &str) -> Result<(), String> {
        if self.takes(sign) { Ok(()) } else { Err(self.wrong(&format!("{sign} is missing"))) }
    }

    fn wrong(&self, why: &str) -> String {
        format!("column {}: {why}", self.at())
    }

    /// `a || b`, or `a ? b : c`.
    fn whole(&mut self) -> Result<Term, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.wrong(&format!("has more than {DEPTH} parts inside each other")));
        }
        let at = self.at();
        let mut term = self.either()?;
        if self.takes("?") {
            let when = self.test(at, term)?;
            let (at, then) = (self.at(), self.whole()?);
            let then = self.test(at, then)?;
            self.needs(":")?;
            let (at, other) = (self.at(), self.whole()?);
            let other = self.test(at, other)?;
            term = Term::Test(Test::If(Box::new([when, then, other])));
        }
        self.depth -= 1;
        Ok(term)
    }

    fn either(&mut self) -> Result<Term, String> {
        let at = self.at();
        let mut term = self.both()?;
        while self.takes("||") {
            let one = self.test(at, term)?;
            let (at, other) = (self.at(), self.both()?);
            term = Term::Test(Test::Or(Box::new(one), Box::new(self.test(at, other)?)));
        }
        Ok(term)
    }

    fn both(&mut self) -> Result<Term, String> {
        let at = self.at();
        let mut term = self.compared()?;
        while self.takes("&&") {
            let one = self.test(at, term)?;
            let (at, other) = (self.at(), self.compared()?);
            term = Term::Test(Test::And(Box::new(one), Box::new(self.test(at, other)?)));
        }
        Ok(term)
    }

    fn compared(&mut self) -> Result<Term, String> {
        let one = self.denied()?;
        let at = self.at();
        let order = match self.peek() {
            Word::Name("in") => None,
            Word::Sign("==") => Some(Order::Equal),
            Word::Sign("!=") => Some(Order::Unequal),
            Word::Sign("<") => Some(Order::Less),
            Word::Sign("<=") => Some(Order::LessOrEqual),
            Word::Sign(">") => Some(Order::Greater),
            Word::Sign(">=") => Some(Order::GreaterOrEqual),
            Word::Sign(sign @ ("+" | "-" | "*" | "/" | "%")) => {
                return Err(self.wrong(&unknown(sign)));
            }
            _ => return Ok(one),
        };
        self.take();
        let other = self.denied()?;
        let wrong = |why: &str| Err(format!("column {at}: {why}"));
        Ok(Term::Test(match (one, order, other) {
            (Term::Text(Text::Literal(name)), None, Term::Headers) => Test::Has(lower(&name)),
            (Term::Text(one), None, Term::List(known)) => Test::OneOf(one, known),
            (_, None, _) => {
                return wrong(
                    "in stands between a text and a list, as in request.method in [\"GET\"], or \"name\" in request.headers",
                );
            }
            (Term::Text(one), Some(order), Term::Text(other)) => {
                Test::Texts(Relation::Order(order), one, other)
            }
            (Term::Number(one), Some(order), Term::Number(other)) => {
                Test::Numbers(order, one, other)
            }
            (_, Some(_), _) => {
                return wrong(
                    "a text is compared with a text, in quotes, and a number with a number",
                );
            }
        }))
    }

    fn denied(&mut self) -> Result<Term, String> {
        let (at, mut is_denied, mut has_sign) = (self.at(), false, false);
        while self.takes("!") {
            (is_denied, has_sign) = (!is_denied, true);
        }
        let term = self.member()?;
        if !has_sign {
            return Ok(term);
        }
        let test = self.test(at, term)?;
        Ok(Term::Test(if is_denied { Test::Not(Box::new(test)) } else { test }))
    }

    /// `request.headers["a"]`, `request.path.startsWith("/a")`.
    fn member(&mut self) -> Result<Term, String> {
        let mut term = self.primary()?;
        loop {
            if self.takes("[") {
                let (at, of) = (self.at(), self.whole()?);
                self.needs("]")?;
                term = match (term, of) {
                    (Term::Headers, Term::Text(Text::Literal(name))) => {
                        Term::Text(Text::Header(lower(&name)))
                    }
                    _ => {
                        return Err(format!(
                            "column {at}: only request.headers[\"name\"] has parts"
                        ));
                    }
                };
            } else if self.takes(".") {
                let at = self.at();
                let Word::Name(name) = self.take() else {
                    return Err(format!("column {at}: a name is missing behind the dot"));
                };
                term = match self.takes("(") {
                    true => self.method(at, term, name)?,
                    false => field(at, term, name)?,
                };
            } else {
                return Ok(term);
            }
        }
    }

    /// A function of a text; its bracket is open.
    fn method(&mut self, at: usize, of: Term, name: &str) -> Result<Term, String> {
        let relation = match name {
            "startsWith" => Relation::StartsWith,
            "endsWith" => Relation::EndsWith,
            "contains" => Relation::Contains,
            "size" if self.takes(")") => return size(at, of),
            "all" | "exists" | "exists_one" | "map" | "filter" => {
                return Err(format!("column {at}: loops ({name}) cost too much here"));
            }
            _ => return Err(format!("column {at}: {}", unknown(name))),
        };
        let other = self.whole()?;
        self.needs(")")?;
        match (of, other) {
            (Term::Text(one), Term::Text(other)) => {
                Ok(Term::Test(Test::Texts(relation, one, other)))
            }
            _ => Err(format!("column {at}: {name} is asked of a text about a text")),
        }
    }

    fn primary(&mut self) -> Result<Term, String> {
        self.parts += 1;
        if self.parts > PARTS {
            return Err(self.wrong(&format!("has more than {PARTS} parts")));
        }
        let at = self.at();
        match self.take() {
            Word::Text(text) => Ok(Term::Text(Text::Literal(text.into()))),
            Word::Number(number) => Ok(Term::Number(Number::Literal(number))),
            Word::Name("true") => Ok(Term::Test(Test::Is(true))),
            Word::Name("false") => Ok(Term::Test(Test::Is(false))),
            Word::Name("request") => Ok(Term::Request),
            Word::Name("client") => Ok(Term::Client),
            Word::Name(name) if self.takes("(") => self.function(at, name),
            Word::Name(name) => Err(format!("column {at}: there is no {name}: there are {FIELDS}")),
            Word::Sign("(") => {
                let term = self.whole()?;
                self.needs(")")?;
                Ok(term)
            }
            Word::Sign("[") => self.list().map(Term::List),
            Word::Sign("-") => match self.take() {
                Word::Number(number) => Ok(Term::Number(Number::Literal(-number))),
                _ => Err(format!("column {at}: {}", unknown("-"))),
            },
            Word::Sign(sign) => Err(format!("column {at}: {sign} does not stand here")),
            Word::End => Err(format!("column {at}: the expression ends too early")),
        }
    }

    /// `size(TEXT)` and `has(request.headers.NAME)`; the bracket is open.
    fn function(&mut self, at: usize, name: &str) -> Result<Term, String> {
        if !["size", "has"].contains(&name) {
            return Err(format!("column {at}: {}", unknown(name)));
        }
        let of = self.whole()?;
        self.needs(")")?;
        match (name, of) {
            ("size", of) => size(at, of),
            (_, Term::Text(Text::Header(header))) => Ok(Term::Test(Test::Has(header))),
            _ => Err(format!(
                "column {at}: has is asked of a header, as in has(request.headers.name)"
            )),
        }
    }

    /// Texts in quotes; the bracket is open.
    fn list(&mut self) -> Result<Vec<Box<str>>, String> {
        let mut known = Vec::new();
        while !self.takes("]") {
            let at = self.at();
            match self.primary()? {
                Term::Text(Text::Literal(text)) => known.push(text),
                _ => return Err(format!("column {at}: a list holds texts in quotes")),
            }
            if !self.takes(",") {
                self.needs("]")?;
                break;
            }
        }
        Ok(known)
    }

    fn test(&self, at: usize, term: Term) -> Result<Test, String> {
        match term {
            Term::Test(test) => Ok(test),
            Term::Text(_)
            | Term::Number(_)
            | Term::List(_)
            | Term::Request
            | Term::Client
            | Term::Headers => Err(format!(
                "column {at}: is a value: compare it with something, as in request.method == \"GET\""
            )),
        }
    }
}

fn field(at: usize, of: Term, name: &str) -> Result<Term, String> {
    Ok(match (of, name) {
        (Term::Request, "method") => Term::Text(Text::Method),
        (Term::Request, "host") => Term::Text(Text::Host),
        (Term::Request, "path") => Term::Text(Text::Path),
        (Term::Request, "query") => Term::Text(Text::Query),
        (Term::Request, "headers") => Term::Headers,
        (Term::Client, "address") => Term::Text(Text::Address),
        (Term::Headers, name) => Term::Text(Text::Header(lower(name))),
        _ => return Err(format!("column {at}: there is no {name} here: there are {FIELDS}")),
    })
}

fn size(at: usize, of: Term) -> Result<Term, String> {
    match of {
        Term::Text(text) => Ok(Term::Number(Number::Size(text))),
        _ => Err(format!("column {at}: size is asked of a text")),
    }
}

fn lower(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into()
}

fn unknown(function: &str) -> String {
    format!(
        "{function:?} is not asked here: use == != < <= > >= && || ! ?: in, startsWith, endsWith, contains, size and has"
    )
}
