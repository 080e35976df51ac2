//! A separate listener for metrics: `GET /metrics` for Prometheus, and nothing else. It requires no authentication, so
//! it must listen on an address that only the operator can reach.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, AdmissionLimits};
use crate::app::App;
use crate::http::server::{self, ConnectionLimits};

/// Maximum number of connections: enough for Prometheus and a few people.
const MAX_CONNECTIONS: usize = 16;
/// How often to measure the delay of a timer.
const LAG_EVERY: Duration = Duration::from_secs(1);

/// Serves metrics until `stop`.
pub async fn run(listeners: Vec<TcpListener>, app: Arc<App>, stop: CancellationToken) {
    let limits = ConnectionLimits {
        count: MAX_CONNECTIONS,
        times: app.config.connection,
        shutdown: Duration::ZERO,
    };
    let unlimited = AdmissionLimits { per_user: 0, per_address: 0, uncounted: Vec::new() };
    let admission = Arc::new(Admission::new(&unlimited, MAX_CONNECTIONS));
    let lag = tokio::spawn(measure_lag(Arc::clone(&app)));
    let connected = |_: IpAddr| {
        let app = Arc::clone(&app);
        service_fn(move |request| answer(Arc::clone(&app), request))
    };
    let stop = stop.cancelled_owned();
    server::serve(listeners, limits, admission, connected, |_, _| (), stop).await;
    lag.abort();
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response, Infallible> {
    Ok(match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET | &Method::HEAD) => {
            let format = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (format, app.state.metrics_text().await).into_response()
        }
        ("/metrics", _) => (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response(),
        _ => (StatusCode::NOT_FOUND, "metrics are at /metrics\n").into_response(),
    })
}

/// Measures repeatedly how late a timer fires, which is how long tasks wait for a thread. Never returns.
async fn measure_lag(app: Arc<App>) {
    let mut ticks = tokio::time::interval(LAG_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        let due = Instant::now() + LAG_EVERY;
        ticks.tick().await;
        let late = Instant::now().saturating_duration_since(due);
        app.metrics.state.scheduler_lag.observe(late.as_secs_f64());
    }
}
