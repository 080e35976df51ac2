//! Requests in metrics.

use std::time::Duration;

use super::facts::Facts;
use super::notes::Operation;
use crate::metrics::HttpMetrics;

/// What `status` is where no reply was sent.
const NONE: &str = "none";

/// Counts a request that has just ended.
pub(super) fn ended(metrics: &HttpMetrics, request: &Facts) {
    let status = request.status;
    let text = status.as_ref().map_or(NONE, |status| status.as_str());
    metrics.requests.with_label_values(&[request.route, request.method, text]).inc();
    if let Some(explained) = &request.explained {
        metrics.refusals.with_label_values(&[explained.code]).inc();
        if let Some(limit) = explained.limit {
            metrics.over_limit.with_label_values(&[limit]).inc();
        }
    }
    let times = match request.notes.known_operation() {
        Some(Operation::Chunk) => &metrics.chunk,
        Some(Operation::Done) => &metrics.done,
        _ => return,
    };
    if status.is_some_and(|status| status.is_success()) {
        times.observe(seconds(request.times().server()));
    }
}

/// Notes that the first byte of a reply is there.
pub(super) fn first_byte(metrics: &HttpMetrics, request: &Facts) {
    if request.is_download() {
        metrics.first_byte.observe(seconds(request.times().server()));
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
