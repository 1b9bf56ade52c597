//! The admin API as the commands see it: where it is, one question, one answer.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use ureq::http::{Uri, uri::Scheme};
use ureq::{Agent, Body};

use crate::failure::Failure;

/// Refused at once on one machine; this is for an address that swallows packets.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where the admin API is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AdminArgs {
    /// Where the admin API is.
    #[arg(
        long,
        value_name = "URL",
        env = "HATCHWAY_ADMIN",
        default_value = "http://127.0.0.1:8081"
    )]
    admin: String,
}

/// A client of the admin API.
#[derive(Debug)]
pub(crate) struct Admin {
    base: Uri,
    agent: Agent,
}

/// What a failed question is answered with (RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

impl Admin {
    /// Checks the address; asks nothing yet.
    ///
    /// # Errors
    /// [`Failure::Settings`] when it is none.
    pub(crate) fn new(args: &AdminArgs) -> Result<Self, Failure> {
        let text = args.admin.trim_end_matches('/');
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let base: Option<Uri> = text.parse().ok();
        let base = base.filter(|base| base.scheme() == Some(&Scheme::HTTP)).ok_or_else(|| {
            let example = "for example http://127.0.0.1:8081";
            Failure::Settings(format!(
                "{:?} is not where an admin API can be: {example}",
                args.admin
            ))
        })?;
        Ok(Self { base, agent: agent() })
    }

    /// The host in the address.
    pub(crate) fn host(&self) -> &str {
        self.base.host().unwrap_or("127.0.0.1")
    }

    /// Asks for one document.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when nobody answers, [`Failure::Refused`] with the answer's reason.
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let body = self.ask(path, query)?;
        serde_json::from_reader(body.into_reader()).map_err(|error| Failure::Unavailable {
            what: format!("what answers at {} is no admin API", self.base),
            source: Box::new(error),
        })
    }

    /// Asks for lines, which come as they are made.
    ///
    /// # Errors
    /// As [`Admin::get`]; a line that does not come is an [`std::io::Error`].
    pub(crate) fn lines(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<impl Iterator<Item = std::io::Result<String>>, Failure> {
        Ok(BufReader::new(self.ask(path, query)?.into_reader()).lines())
    }

    fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<Body, Failure> {
        let mut url = format!("{}{path}", self.base.to_string().trim_end_matches('/'));
        if !query.is_empty() {
            let query =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            url = format!("{url}?{query}");
        }
        let response = self.agent.get(&url).call().map_err(|error| self.unavailable(error))?;
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let problem: Problem = serde_json::from_reader(body.into_reader()).unwrap_or_default();
        let why = problem.detail.or(problem.title).unwrap_or_else(|| head.status.to_string());
        Err(Failure::Refused(why))
    }

    fn unavailable(&self, error: ureq::Error) -> Failure {
        Failure::Unavailable {
            what: format!("no answer from {} (is `hatchway up` running?)", self.base),
            source: Box::new(error),
        }
    }
}

/// An HTTP client that does what it is told: no proxy out of the environment, no redirect followed, any
/// status an answer, no clock but the one for connecting.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_connect(Some(CONNECT_LIMIT))
        .build()
        .new_agent()
}

/// Reads an answer as the type that a table needs; fields that we do not know are left alone.
///
/// # Errors
/// [`Failure::Unavailable`]: what answers is not an admin API of ours.
pub(crate) fn typed<T: for<'de> Deserialize<'de>>(answer: &Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(|error| Failure::Unavailable {
        what: "the answer is not that of this version's admin API".to_owned(),
        source: Box::new(error),
    })
}
