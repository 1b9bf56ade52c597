//! A blocking HTTP client, and answers to make claims about.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{HeaderMap, Method, Request, Response};
use ureq::{Agent, Body, SendBody};

use crate::PATIENCE;

/// A client with a connection pool of its own: no proxy, no redirects, and an error status is an answer.
pub fn agent() -> Agent {
    Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(2 * PATIENCE))
        .max_idle_age(Duration::from_secs(2))
        .build()
        .new_agent()
}

/// Calls to one address.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    address: SocketAddr,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// What RFC 9457 and the gateway put into an error's body.
#[derive(Clone, Debug, Deserialize)]
pub struct Problem {
    /// Always the same: the status says what kind it is.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The status again.
    pub status: u16,
    /// For a person.
    pub detail: String,
    /// The request id.
    pub instance: String,
    /// Who failed.
    pub component: String,
    /// For a program.
    pub reason: String,
}

impl Client {
    /// With connections of its own.
    pub fn new(address: SocketAddr) -> Self {
        Self { agent: agent(), address }
    }

    /// Calls by GET.
    ///
    /// # Panics
    /// When there is no answer, as all of these but [`request`](Self::request) and [`open`](Self::open).
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.expect(Method::GET, path, &[], &[])
    }

    /// Calls by GET, for a host of its own.
    #[track_caller]
    pub fn get_at(&self, host: &str, path: &str) -> Answer {
        self.expect(Method::GET, path, &[("host", host)], &[])
    }

    /// Calls by POST with a JSON body.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.expect(Method::POST, path, &json, body.to_string().as_bytes())
    }

    #[track_caller]
    fn expect(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        match self.request(method.as_str(), path, headers, body) {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path} was not answered: {error}"),
        }
    }

    /// Calls, and reads the whole answer.
    ///
    /// # Errors
    /// When the connection breaks first, or the answer is cut.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut response = if body.is_empty() {
            self.send(method, path, headers, ())?
        } else {
            self.send(method, path, headers, body)?
        };
        let mut body = Vec::new();
        response.body_mut().as_reader().read_to_end(&mut body)?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
    }

    /// Calls by GET and comes back with the head: the body is read as it arrives.
    ///
    /// # Errors
    /// When the connection breaks first.
    pub fn open(&self, path: &str) -> Result<Response<Body>, ureq::Error> {
        self.send("GET", path, &[], ())
    }

    /// Calls with a body that is sent as it is read; its length is not told.
    ///
    /// # Errors
    /// When the connection breaks first.
    pub fn upload(&self, path: &str, mut body: impl Read) -> Result<Response<Body>, ureq::Error> {
        self.send("POST", path, &[], SendBody::from_reader(&mut body))
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl ureq::AsSendBody,
    ) -> Result<Response<Body>, ureq::Error> {
        let method = Method::from_bytes(method.as_bytes()).map_err(ureq::http::Error::from)?;
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.agent.run(request.body(body)?)
    }
}

impl Answer {
    /// A field of the head; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{} with no JSON ({error}): {}", self.status, self.text()),
        }
    }

    /// The body as JSON, after a look at the status.
    ///
    /// # Panics
    /// When the function did not answer 200 with JSON.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The platform's refusal, once head and body are seen to agree.
    ///
    /// # Panics
    /// When the platform has not refused, or contradicts itself.
    #[track_caller]
    pub fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status);
        assert_eq!(problem.instance, self.header("x-request-id"));
        let details = format!("details=\"{}\"", problem.reason);
        assert!(self.header("proxy-status").contains(&details), "{:?}", self.headers);
        problem
    }

    /// The token after `error=` in `Proxy-Status` (RFC 9209); empty when there is none.
    pub fn proxy_error(&self) -> &str {
        let after = self.header("proxy-status").split("error=").nth(1);
        after.and_then(|rest| rest.split(';').next()).unwrap_or_default()
    }
}
