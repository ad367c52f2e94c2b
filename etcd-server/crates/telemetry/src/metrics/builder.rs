//! Makes the metrics of the catalogue and registers them.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::catalog::{CATALOG, Family, Kind};

/// A histogram of durations, in the unit of its name. Recording takes a few atomic operations and
/// no lock.
#[derive(Clone, Debug)]
pub struct Durations {
    histogram: Histogram,
    units_per_second: f64,
}

impl Durations {
    pub fn record(&self, duration: Duration) {
        self.histogram.observe(duration.as_secs_f64() * self.units_per_second);
    }
}

/// Durations by labels; the children are resolved once and kept by their users.
#[derive(Clone, Debug)]
pub(super) struct DurationsVec(HistogramVec);

impl DurationsVec {
    /// `values` are the label values in the catalogue's order. All labelled histograms are in
    /// seconds.
    pub(super) fn of(&self, values: &[&str]) -> Durations {
        Durations { histogram: self.0.with_label_values(values), units_per_second: 1.0 }
    }
}

/// Children of a labelled family that appear when first used, each found by its place.
#[derive(Debug)]
pub(super) struct OnUse<T>(Box<[OnceLock<T>]>);

impl<T> OnUse<T> {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| OnceLock::new()).collect())
    }

    pub(super) fn get(&self, place: usize, make: impl FnOnce() -> T) -> &T {
        self.0[place].get_or_init(make)
    }
}

/// Makes each metric from its row in the catalogue, so that a name is never spelled with another
/// type or label.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) registry: Registry,
}

impl Builder {
    pub(super) fn counter(&self, name: &str) -> IntCounter {
        let family = row(name, &[], |kind| kind == Kind::Counter);
        self.register(IntCounter::with_opts(opts(family)).expect("the catalogue's names are well formed"))
    }

    pub(super) fn counters(&self, name: &str, labels: &[&str]) -> IntCounterVec {
        let family = row(name, labels, |kind| kind == Kind::Counter);
        self.register(IntCounterVec::new(opts(family), labels).expect("the catalogue's names are well formed"))
    }

    /// A counter of fractions.
    pub(super) fn float_counter(&self, name: &str) -> prometheus::Counter {
        let family = row(name, &[], |kind| kind == Kind::Counter);
        self.register(CounterVec::new(opts(family), &[]).expect("the catalogue's names are well formed"))
            .with_label_values::<&str>(&[])
    }

    pub(super) fn gauge(&self, name: &str) -> IntGauge {
        let family = row(name, &[], |kind| kind == Kind::Gauge);
        self.register(IntGauge::with_opts(opts(family)).expect("the catalogue's names are well formed"))
    }

    /// A gauge of fractions, or of numbers above the signed range.
    pub(super) fn float_gauge(&self, name: &str) -> Gauge {
        let family = row(name, &[], |kind| kind == Kind::Gauge);
        self.register(GaugeVec::new(opts(family), &[]).expect("the catalogue's names are well formed"))
            .with_label_values::<&str>(&[])
    }

    pub(super) fn gauges(&self, name: &str, labels: &[&str]) -> IntGaugeVec {
        let family = row(name, labels, |kind| kind == Kind::Gauge);
        self.register(IntGaugeVec::new(opts(family), labels).expect("the catalogue's names are well formed"))
    }

    pub(super) fn durations(&self, name: &str) -> Durations {
        let family = row(name, &[], |kind| matches!(kind, Kind::Histogram(_)));
        let histogram =
            self.register(Histogram::with_opts(histogram_opts(family)).expect("the catalogue's names are well formed"));
        let units_per_second = if name.ends_with("_milliseconds") { 1000.0 } else { 1.0 };
        Durations { histogram, units_per_second }
    }

    pub(super) fn durations_by(&self, name: &str, labels: &[&str]) -> DurationsVec {
        let family = row(name, labels, |kind| matches!(kind, Kind::Histogram(_)));
        let vec = HistogramVec::new(histogram_opts(family), labels).expect("the catalogue's names are well formed");
        DurationsVec(self.register(vec))
    }

    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> C {
        self.registry.register(Box::new(collector.clone())).expect("each name is registered once");
        collector
    }
}

fn row(name: &str, labels: &[&str], kind_fits: impl FnOnce(Kind) -> bool) -> &'static Family {
    let family = CATALOG.iter().find(|family| family.name == name).expect("every metric has a row in the catalogue");
    assert!(kind_fits(family.kind) && family.labels == labels, "{name} is used as the catalogue describes it");
    family
}

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn histogram_opts(family: &Family) -> HistogramOpts {
    let opts = HistogramOpts::new(family.name, family.help);
    match family.kind {
        Kind::Histogram(buckets) => opts.buckets(buckets.bounds()),
        Kind::Counter | Kind::Gauge => opts,
    }
}
