//! The figures: one line per case and figure, a column per server, and how ours stands to etcd's.

use std::fmt::Write as _;

use serde::Serialize;

use crate::load::Sample;

/// The better direction of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// One figure of one case on one server.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) value: f64,
}

impl Figure {
    pub(crate) fn higher(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, better: Better::Higher, value }
    }

    pub(crate) fn lower(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, better: Better::Lower, value }
    }
}

#[derive(Debug, Serialize)]
struct Line {
    case: &'static str,
    figure: &'static str,
    unit: &'static str,
    better: Better,
    /// One per server, in the order of `servers`.
    values: Vec<f64>,
    /// Ours divided by etcd's.
    ratio: Option<f64>,
}

/// All figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    servers: Vec<&'static str>,
    lines: Vec<Line>,
}

impl Report {
    pub(crate) fn new(servers: Vec<&'static str>) -> Self {
        Self { servers, lines: Vec::new() }
    }

    /// Adds a case: for each server its figures, the same ones in the same order.
    pub(crate) fn add(&mut self, case: &'static str, by_server: &[Vec<Figure>]) {
        let Some(first) = by_server.first() else { return };
        for (index, figure) in first.iter().enumerate() {
            let values: Vec<_> =
                by_server.iter().filter_map(|figures| figures.get(index)).map(|figure| figure.value).collect();
            let ratio =
                if let [ours, etcd] = values[..] { Some(ours / etcd).filter(|ratio| ratio.is_finite()) } else { None };
            self.lines.push(Line {
                case,
                figure: figure.name,
                unit: figure.unit,
                better: figure.better,
                values,
                ratio,
            });
        }
    }

    pub(crate) fn table(&self) -> String {
        let mut table = format!("{:<18} {:<30} {:<6}", "case", "figure", "unit");
        self.servers.iter().for_each(|server| table += &format!(" {server:>12}"));
        table += &format!(" {:>10}\n", "ours/etcd");
        let mut last_case = "";
        for line in &self.lines {
            let case = if line.case == last_case { "" } else { line.case };
            last_case = line.case;
            table += &format!("{case:<18} {:<30} {:<6}", line.figure, line.unit);
            line.values.iter().for_each(|value| table += &format!(" {:>12}", digits(*value)));
            let ratio = line.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            writeln!(table, " {ratio:>10} {}", if line.better == Better::Higher { "^" } else { "v" })
                .expect("writing to a string cannot fail");
        }
        table + "^ more is better, v less is better"
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain JSON")
    }
}

/// Three digits or more.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

const MEBIBYTE: f64 = 1024.0 * 1024.0;

pub(crate) fn mebibytes(bytes: f64) -> f64 {
    bytes / MEBIBYTE
}

/// The figures of a loaded server: each the median of the rounds.
pub(crate) fn load_figures(rounds: &[Sample]) -> Vec<Figure> {
    let median = |of: fn(&Sample) -> f64| median(rounds.iter().map(of).collect());
    vec![
        Figure::higher("operations a second", "1/s", median(|round| round.operations / round.wall_seconds)),
        Figure::lower("latency p50", "us", median(|round| round.p50_micros)),
        Figure::lower("latency p99", "us", median(|round| round.p99_micros)),
        Figure::lower("server CPU per operation", "us", median(|round| round.cpu_seconds * 1e6 / round.operations)),
        Figure::higher("operations per CPU second", "1/s", median(|round| round.operations / round.cpu_seconds)),
        Figure::lower("resident memory", "MiB", mebibytes(median(|round| round.resident_bytes))),
        Figure::lower("resident memory, peak", "MiB", mebibytes(median(|round| round.resident_peak_bytes))),
    ]
}

/// The middle value; the mean of both if there are two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_of_odd_and_even_counts() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_ratio_needs_two_servers() {
        let figures = |value| vec![Figure::higher("f", "1/s", value)];
        let mut both = Report::new(vec!["ours", "etcd"]);
        both.add("c", &[figures(6.0), figures(2.0)]);
        assert!(both.table().contains("3.00"));
        let mut one = Report::new(vec!["etcd"]);
        one.add("c", &[figures(2.0)]);
        assert_eq!(one.lines[0].ratio, None);
    }
}
