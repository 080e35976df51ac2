//! Creates metrics and registers them.

use prometheus::core::Collector;
use prometheus::{
    Counter, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Prefix of every name.
const PREFIX: &str = "haversack";

/// Creates metrics in one registry. Panics if a name is invalid or used twice, which every start of the server would
/// reveal.
#[derive(Default)]
pub(super) struct Registrar(Registry);

impl Registrar {
    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.registered(IntCounter::with_opts(opts(name, help)))
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.registered(IntCounterVec::new(opts(name, help), labels))
    }

    pub(super) fn seconds(&self, name: &str, help: &str) -> Counter {
        self.registered(Counter::with_opts(opts(name, help)))
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.registered(IntGauge::with_opts(opts(name, help)))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.registered(IntGaugeVec::new(opts(name, help), labels))
    }

    pub(super) fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.registered(Histogram::with_opts(buckets(name, help, bounds)))
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        bounds: &[f64],
    ) -> HistogramVec {
        self.registered(HistogramVec::new(buckets(name, help, bounds), labels))
    }

    pub(super) fn registered<C: Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> C {
        let metric = made.expect("names of metrics are valid");
        self.collect(metric.clone());
        metric
    }

    pub(super) fn collect(&self, collector: impl Collector + 'static) {
        self.0.register(Box::new(collector)).expect("names of metrics are unique");
    }

    pub(super) fn into_registry(self) -> Registry {
        self.0
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}

fn buckets(name: &str, help: &str, bounds: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace(PREFIX).buckets(bounds.to_vec())
}
