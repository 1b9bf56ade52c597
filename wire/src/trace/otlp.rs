//! Spans on their way to a collector: OTLP over gRPC, as its published messages have it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as otlp, ResourceSpans, ScopeSpans};
use prometheus::IntCounter;
use tokio::runtime::{self, Runtime};
use tonic::transport::{Channel, Endpoint};

use crate::backlog::Reader;
use crate::process::chain;

use super::batch::Batch;
use super::span::{Span, Value};

/// A collector stands on this machine or near it. While one is waited for, spans wait in their bounded batches.
const CLOCK: Duration = Duration::from_secs(5);

/// Spans in one message: the default of OpenTelemetry's own batches.
const SPANS: usize = 512;

/// A connection that the collector has closed meanwhile is noticed by its first use.
const TRIES: usize = 2;

/// Why a collector cannot be named so.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCollector {
    /// Not a URL, or not of ours: a collector in the same trust is spoken to in plain.
    #[error("--otlp {0}: a collector is named as http://HOST:PORT")]
    Name(String),
    /// The thread's runtime.
    #[error("cannot start a runtime for spans")]
    Runtime(#[source] std::io::Error),
}

/// Sends spans, on a thread of its own.
#[derive(Debug)]
pub(super) struct Exporter {
    runtime: Runtime,
    client: TraceServiceClient<Channel>,
    resource: Resource,
    waiting: Vec<otlp::Span>,
    dropped: IntCounter,
    is_failing: bool,
}

impl Exporter {
    /// Connects with the first spans, and again whenever the connection is lost.
    ///
    /// # Errors
    /// [`NoCollector`].
    pub(super) fn new(
        collector: &str,
        service: &'static str,
        dropped: IntCounter,
    ) -> Result<Self, NoCollector> {
        let no_name = || NoCollector::Name(collector.to_owned());
        let endpoint = Endpoint::from_shared(collector.to_owned()).map_err(|_| no_name())?;
        if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().host().is_none() {
            return Err(no_name());
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(NoCollector::Runtime)?;
        let channel = {
            let _inside = runtime.enter();
            endpoint.connect_timeout(CLOCK).timeout(CLOCK).connect_lazy()
        };
        let resource = Resource {
            attributes: vec![
                key_value("service.name", text(service)),
                key_value("service.version", text(env!("CARGO_PKG_VERSION"))),
                key_value("process.pid", any_value::Value::IntValue(std::process::id().into())),
            ],
            ..Resource::default()
        };
        let client = TraceServiceClient::new(channel);
        Ok(Self { runtime, client, resource, waiting: Vec::new(), dropped, is_failing: false })
    }

    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let spans = std::mem::take(&mut self.waiting);
        let count = spans.len() as u64;
        let scope = InstrumentationScope { name: "hatchway".to_owned(), ..Default::default() };
        let of_scope = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
        let of_resource = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![of_scope],
            ..ResourceSpans::default()
        };
        match self.send(&ExportTraceServiceRequest { resource_spans: vec![of_resource] }) {
            Ok(rejected) => {
                self.dropped.inc_by(rejected);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                self.dropped.inc_by(count);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(error = %chain(&error), "spans cannot be sent");
                }
            }
        }
    }

    /// Gives how many spans the collector did not want.
    fn send(&mut self, request: &ExportTraceServiceRequest) -> Result<u64, tonic::Status> {
        let mut tries_left = TRIES;
        loop {
            tries_left -= 1;
            match self.runtime.block_on(self.client.export(request.clone())) {
                Ok(answer) => {
                    let partial = answer.into_inner().partial_success.unwrap_or_default();
                    return Ok(u64::try_from(partial.rejected_spans).unwrap_or(0));
                }
                Err(error) if tries_left == 0 || error.code() == tonic::Code::Cancelled => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }
}

impl Reader<Batch> for Exporter {
    fn take(&mut self, batch: &mut Batch) {
        for span in batch.spans.drain(..) {
            self.waiting.push(told(span));
            if self.waiting.len() >= SPANS {
                self.flush();
            }
        }
    }

    fn turn(&mut self) {
        self.flush();
    }
}

fn told(span: Span) -> otlp::Span {
    let id = |id: u64| if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
    let attributes = span.attributes.into_iter().map(|(name, value)| {
        let value = match value {
            Value::Text(text) => any_value::Value::StringValue(text.into()),
            Value::Number(number) => any_value::Value::IntValue(number),
        };
        key_value(name, value)
    });
    let status =
        span.error.map(|why| otlp::Status { message: why.into(), code: StatusCode::Error.into() });
    otlp::Span {
        trace_id: span.trace_id.to_be_bytes().to_vec(),
        span_id: id(span.span_id),
        parent_span_id: id(span.parent_id),
        name: span.name.into_owned(),
        kind: span.kind as i32,
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes: attributes.collect(),
        status,
        // Sampled (W3C Trace Context section 3.2.2.5.1): no other spans are made.
        flags: 1,
        ..otlp::Span::default()
    }
}

fn key_value(name: &str, value: any_value::Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

fn text(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.to_owned())
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter(collector: &str, dropped: &IntCounter) -> Result<Exporter, NoCollector> {
        Exporter::new(collector, "test", dropped.clone())
    }

    #[test]
    fn a_collector_is_named_by_a_plain_url() {
        let dropped = IntCounter::new("dropped", "for a test").unwrap();
        assert!(exporter("http://127.0.0.1:4317", &dropped).is_ok());
        for bad in ["", "127.0.0.1:4317", "https://collector:4317", "ftp://a", "http//a"] {
            let said = exporter(bad, &dropped).unwrap_err().to_string();
            assert!(said.contains("http://HOST:PORT"), "{bad}: {said}");
        }
    }

    #[test]
    fn spans_for_a_collector_that_is_gone_are_counted() {
        let dropped = IntCounter::new("dropped", "for a test").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut exporter = exporter(&format!("http://{port}"), &dropped).unwrap();
        let span = Span::internal(1, (2, 0), "a", (UNIX_EPOCH, UNIX_EPOCH));
        for sent in 1..=2 {
            let mut batch = Batch { spans: vec![span.clone(); SPANS + 10] };
            exporter.take(&mut batch);
            exporter.turn();
            assert_eq!(dropped.get(), sent * (SPANS as u64 + 10));
        }
    }
}
