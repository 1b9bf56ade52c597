//! The names under which Prometheus finds the counts of functions and versions, and where each is read.

use std::sync::atomic::Ordering::Relaxed;

use prometheus::proto::MetricType;

use super::scrape::Family;

/// All of them.
pub(super) fn all() -> Vec<Family> {
    of_functions().into_iter().chain(of_versions()).collect()
}

fn of_functions() -> [Family; 9] {
    use MetricType::{COUNTER, GAUGE, HISTOGRAM};
    let of = Family::of_function;
    [
        of(
            (
                "gateway_requests_total",
                "Requests by the class of their answer; left is a client that did not wait.",
                COUNTER,
            ),
            Some("class"),
            |counts, rows| rows.classes(&counts.requests),
        ),
        of(("gateway_requests_in_flight", "Requests under way.", GAUGE), None, |counts, rows| {
            rows.gauge(counts.in_flight.load(Relaxed));
        }),
        of(
            (
                "gateway_request_seconds",
                "From the complete head to the last byte of the answer.",
                HISTOGRAM,
            ),
            None,
            |counts, rows| rows.histogram(counts.seconds.read()),
        ),
        of(
            (
                "gateway_cold_start_seconds",
                "What a request waited for a sandbox to start.",
                HISTOGRAM,
            ),
            None,
            |counts, rows| {
                if let Some(cold_starts) = counts.cold_starts.get() {
                    rows.histogram(cold_starts.read());
                }
            },
        ),
        of(
            (
                "gateway_failures_total",
                "Answers made in place of the function, or cut after its head, by reason.",
                COUNTER,
            ),
            Some("reason"),
            |counts, rows| rows.words("reason", &counts.failures),
        ),
        of(
            (
                "gateway_degraded_total",
                "Answers that took the place of a failure, by its reason.",
                COUNTER,
            ),
            Some("reason"),
            |counts, rows| rows.words("reason", &counts.degraded),
        ),
        of(
            (
                "gateway_mirrored_total",
                "Copies of requests by the class of their answer, or by why there was none.",
                COUNTER,
            ),
            Some("result"),
            |counts, rows| rows.words("result", &counts.mirrored),
        ),
        of(
            ("gateway_request_bytes_total", "Bytes sent to functions, heads included.", COUNTER),
            None,
            |counts, rows| rows.count(None, counts.request_bytes.load(Relaxed)),
        ),
        of(
            ("gateway_response_bytes_total", "Bytes sent to clients, heads included.", COUNTER),
            None,
            |counts, rows| rows.count(None, counts.response_bytes.load(Relaxed)),
        ),
    ]
}

fn of_versions() -> [Family; 3] {
    use MetricType::{COUNTER, HISTOGRAM};
    let of = Family::of_version;
    [
        of(
            (
                "gateway_version_requests_total",
                "Requests of each version, where a function has several, by the class of their answer.",
                COUNTER,
            ),
            Some("class"),
            |counts, rows| rows.classes(&counts.requests),
        ),
        of(
            (
                "gateway_version_errors_total",
                "Requests that a version has failed, whatever the client was told in its place.",
                COUNTER,
            ),
            None,
            |counts, rows| rows.count(None, counts.errors.load(Relaxed)),
        ),
        of(
            (
                "gateway_version_request_seconds",
                "From the complete head to the last byte, of requests that waited for no start.",
                HISTOGRAM,
            ),
            None,
            |counts, rows| rows.histogram(counts.seconds()),
        ),
    ]
}
