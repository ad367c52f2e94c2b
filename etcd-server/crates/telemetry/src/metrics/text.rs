//! Prometheus' text format 0.0.4.
//!
//! Written here because the library prints every number in plain decimals: the bound of a bucket is
//! the value of the label `le`, and a label must be spelled as etcd spells it (`1.048576e+06`), or
//! the series of the two do not add up.

use std::fmt::Write;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// Renders the families in the order given.
pub(super) fn render(families: &[MetricFamily]) -> String {
    let mut page = String::with_capacity(256 * 1024);
    for family in families {
        let kind = kind_name(family.get_field_type());
        push(&mut page, format_args!("# HELP {} {}\n# TYPE {} {kind}\n", family.name(), family.help(), family.name()));
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => {
                    sample(&mut page, family.name(), "", metric, None, metric.get_counter().get_value())
                }
                MetricType::HISTOGRAM => histogram(&mut page, family.name(), metric),
                MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
                    sample(&mut page, family.name(), "", metric, None, metric.get_gauge().get_value());
                }
            }
        }
    }
    page
}

fn kind_name(kind: MetricType) -> &'static str {
    match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    }
}

fn histogram(page: &mut String, name: &str, metric: &Metric) {
    let histogram = metric.get_histogram();
    for bucket in histogram.get_bucket() {
        sample(page, name, "_bucket", metric, Some(&go_float(bucket.upper_bound())), count(bucket.cumulative_count()));
    }
    let all = count(histogram.get_sample_count());
    sample(page, name, "_bucket", metric, Some("+Inf"), all);
    sample(page, name, "_sum", metric, None, histogram.get_sample_sum());
    sample(page, name, "_count", metric, None, all);
}

#[expect(clippy::cast_precision_loss, reason = "the format carries floats; counts stay far below 2^53")]
fn count(value: u64) -> f64 {
    value as f64
}

fn sample(page: &mut String, name: &str, suffix: &str, metric: &Metric, bound: Option<&str>, value: f64) {
    push(page, format_args!("{name}{suffix}"));
    labels(page, metric.get_label(), bound);
    push(page, format_args!(" {}\n", go_float(value)));
}

fn labels(page: &mut String, pairs: &[LabelPair], bound: Option<&str>) {
    let mut separator = '{';
    for pair in pairs {
        push(page, format_args!("{separator}{}=\"{}\"", pair.name(), escape(pair.value())));
        separator = ',';
    }
    if let Some(bound) = bound {
        push(page, format_args!("{separator}le=\"{bound}\""));
        separator = ',';
    }
    if separator == ',' {
        page.push('}');
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// A float as Go prints it in its shortest form: below 1e-4 and from 1e6 on with an exponent of at
/// least two digits.
fn go_float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if value.is_nan() || value == 0.0 || (1e-4..1e6).contains(&size) {
        return value.to_string();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |small| ('-', small));
    format!("{digits}e{sign}{exponent:0>2}")
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_by_go() {
        for (value, text) in [
            (0.0, "0"),
            (-1.0, "-1"),
            (0.0001, "0.0001"),
            (0.000_05, "5e-05"),
            (819_200.0, "819200"),
            (1_048_576.0, "1.048576e+06"),
            (2_147_483_648.0, "2.147483648e+09"),
            (u64::MAX as f64, "1.8446744073709552e+19"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(go_float(value), text);
        }
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(escape("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
