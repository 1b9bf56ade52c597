//! The admin API as the commands see it: where it is, one question, one answer.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::time::Duration;

use hatchway_proto::api::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::config::ConfigBuilder;
use ureq::http::{Method, Request, Uri, header, uri::Scheme};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body};

use crate::access::AccessArgs;
use crate::failure::Failure;

/// Refused at once on one machine; this is for an address that swallows packets.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where the admin API is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AdminArgs {
    /// Where the admin API is.
    #[arg(
        long,
        visible_alias = "gateway",
        value_name = "URL",
        env = "HATCHWAY_ADMIN",
        default_value = "http://127.0.0.1:8081"
    )]
    admin: String,
    #[command(flatten)]
    access: AccessArgs,
}

/// A client of the admin API.
#[derive(Debug)]
pub(crate) struct Admin {
    base: Uri,
    agent: Agent,
    token: Option<String>,
}

impl Admin {
    /// Checks the address; asks nothing yet.
    ///
    /// # Errors
    /// [`Failure::Settings`] when it is none, or when a token would go there in plain text.
    pub(crate) fn new(args: &AdminArgs) -> Result<Self, Failure> {
        Self::at(&args.admin, &args.access)
    }

    /// The same for an address that was said in another way.
    ///
    /// # Errors
    /// As [`Admin::new`].
    pub(crate) fn at(address: &str, access: &AccessArgs) -> Result<Self, Failure> {
        let text = address.trim_end_matches('/');
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let base: Option<Uri> = text.parse().ok();
        let is_known =
            |base: &Uri| [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&base.scheme());
        let base = base.filter(is_known).ok_or_else(|| {
            let example = "for example http://127.0.0.1:8081";
            Failure::Settings(format!("{address:?} is not where an admin API can be: {example}"))
        })?;
        let token = access.token()?;
        let agent = match base.scheme() == Some(&Scheme::HTTPS) {
            true => Agent::config_builder().tls_config(access.tls(&text)?),
            false if token.is_some() && !is_this_machine(base.host().unwrap_or_default()) => {
                let why = "a token would go there in plain text: use https://";
                return Err(Failure::Settings(format!("{text}: {why}")));
            }
            false => Agent::config_builder(),
        };
        Ok(Self { base, agent: plain(agent), token })
    }

    /// The host in the address.
    pub(crate) fn host(&self) -> &str {
        self.base.host().unwrap_or("127.0.0.1")
    }

    /// As a person wrote it.
    pub(crate) fn name(&self) -> String {
        self.base.to_string().trim_end_matches('/').to_owned()
    }

    /// Asks for one document.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when nobody answers, [`Failure::Refused`] with the answer's reason.
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.document(self.ask(path, query)?)
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// As [`Admin::get`].
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: &impl Serialize,
    ) -> Result<Value, Failure> {
        let text = serde_json::to_vec(body).map_err(|error| self.no_api(error))?;
        let request =
            self.request(method, path, query).header(header::CONTENT_TYPE, "application/json");
        let request = request.body(text).map_err(|error| self.unavailable(error.into()))?;
        self.document(self.answered(self.agent.run(request))?)
    }

    fn document(&self, body: Body) -> Result<Value, Failure> {
        serde_json::from_reader(body.into_reader()).map_err(|error| self.no_api(error))
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
        let request = self.request(Method::GET, path, query).body(());
        let request = request.map_err(|error| self.unavailable(error.into()))?;
        self.answered(self.agent.run(request))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> ureq::http::request::Builder {
        let mut url = format!("{}{path}", self.name());
        if !query.is_empty() {
            let query =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            url = format!("{url}?{query}");
        }
        let request = Request::builder().method(method).uri(url);
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    fn answered(
        &self,
        answer: Result<ureq::http::Response<Body>, ureq::Error>,
    ) -> Result<Body, Failure> {
        let (head, body) = answer.map_err(|error| self.unavailable(error))?.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let problem: Problem = serde_json::from_reader(body.into_reader()).unwrap_or_default();
        let said = [problem.detail, problem.title].into_iter().find(|said| !said.is_empty());
        Err(Failure::Refused(said.unwrap_or_else(|| head.status.to_string())))
    }

    fn unavailable(&self, error: ureq::Error) -> Failure {
        Failure::Unavailable {
            what: format!("no answer from {} (is `hatchway up` running?)", self.base),
            source: Box::new(error),
        }
    }

    fn no_api(&self, error: serde_json::Error) -> Failure {
        Failure::Unavailable {
            what: format!("what answers at {} is no admin API", self.base),
            source: Box::new(error),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// An HTTP client that does what it is told: no proxy out of the environment, no redirect followed, any
/// status an answer, no clock but the one for connecting.
pub(crate) fn agent() -> Agent {
    plain(Agent::config_builder())
}

fn plain(builder: ConfigBuilder<AgentScope>) -> Agent {
    builder
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
