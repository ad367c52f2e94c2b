//! Every family of etcd 3.7.1 is shown as etcd shows it, or its absence has a reason.

use std::collections::{BTreeMap, BTreeSet};

use telemetry::metrics::{ABSENCES, CATALOG};

use super::exercise;
use super::families::{Shape, families};

const LIST: &str = include_str!("etcd_3.7.1.txt");

fn listed() -> BTreeMap<&'static str, Shape> {
    LIST.lines().filter(|line| !line.starts_with('#')).map(parse).collect()
}

fn parse(line: &'static str) -> (&'static str, Shape) {
    let [name, kind, labels, buckets]: [&str; 4] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let labels = if labels == "-" { BTreeSet::new() } else { labels.split(',').map(str::to_owned).collect() };
    (name, Shape { kind: kind.to_owned(), labels, bounds: bounds(buckets) })
}

fn bounds(buckets: &str) -> Vec<String> {
    let mut bounds: Vec<f64> = match buckets.split_once("*2^") {
        Some((first, count)) => {
            (0..count.parse().unwrap()).map(|step| first.parse::<f64>().unwrap() * f64::from(1u32 << step)).collect()
        }
        None if buckets == "default" => vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
        None => return Vec::new(),
    };
    bounds.push(f64::INFINITY);
    bounds.into_iter().map(|bound| format!("{bound}")).collect()
}

/// The list gives bounds as numbers, the page as etcd spells them.
fn numbers(shape: &Shape) -> Shape {
    let bounds = shape.bounds.iter().map(|bound| format!("{}", bound.parse::<f64>().unwrap())).collect();
    Shape { bounds, ..shape.clone() }
}

#[test]
fn every_family_of_etcd_is_shown_alike_or_absent_with_a_reason() {
    let shown = families(&exercise::everything().text());
    for (name, expected) in listed() {
        let absence = ABSENCES.iter().find(|absence| absence.covers(name));
        match (shown.get(name), absence) {
            (Some(shape), None) => assert_eq!(numbers(shape), expected, "{name}"),
            (None, Some(_)) => {}
            (Some(_), Some(_)) => panic!("{name} is shown and listed as absent"),
            (None, None) => panic!("{name} is neither shown nor listed as absent"),
        }
    }
}

#[test]
fn nothing_is_shown_that_etcd_does_not_know() {
    let listed = listed();
    for name in families(&exercise::everything().text()).keys() {
        assert!(listed.contains_key(name.as_str()), "{name}");
    }
}

#[test]
fn the_catalogue_is_what_the_page_shows() {
    let shown: Vec<_> = families(&exercise::everything().text()).into_keys().collect();
    let catalog: Vec<_> = CATALOG.iter().map(|family| family.name).collect();
    assert_eq!(shown, catalog);
}

#[test]
fn every_absence_is_of_a_family_that_etcd_has() {
    let listed = listed();
    for absence in ABSENCES {
        assert!(absence.name == "go_*" || listed.keys().any(|name| absence.covers(name)), "{}", absence.name);
    }
}
