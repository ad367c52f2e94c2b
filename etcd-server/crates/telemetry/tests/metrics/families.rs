//! Reads a page in the text format as families: type, label names, bounds of buckets.

use std::collections::{BTreeMap, BTreeSet};

/// The identity of a family for dashboards and alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kind: String,
    pub(super) labels: BTreeSet<String>,
    /// As spelled on the page, in its order, of one histogram.
    pub(super) bounds: Vec<String>,
}

/// The families of a page that have at least one sample.
pub(super) fn families(page: &str) -> BTreeMap<String, Shape> {
    let mut all: BTreeMap<String, Shape> = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            all.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') && !line.is_empty() {
            sample(&mut all, line);
        }
    }
    all
}

fn sample(all: &mut BTreeMap<String, Shape>, line: &str) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    value.parse::<f64>().unwrap_or_else(|error| panic!("{line}: {error}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let part_of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let family = part_of_histogram.filter(|name| all.contains_key(*name)).unwrap_or(name);
    let shape = all.get_mut(family).unwrap_or_else(|| panic!("a sample without a type: {line}"));
    for pair in labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once("=\"").unwrap();
        let value = value.trim_end_matches('"').to_owned();
        if label != "le" {
            shape.labels.insert(label.to_owned());
        } else if !shape.bounds.contains(&value) {
            shape.bounds.push(value);
        }
    }
}

/// Value of a series, spelled whole: `name{label="value"}`.
pub(super) fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}
