//! Settings of metrics, logs and traces.

use crate::row::{Kind, Row};

pub(super) const ROWS: &[Row] = &[
    Row::new("enable-pprof", Kind::Bool, "false", "Serve Go's profiles under /debug/pprof.")
        .no_effect("its profiles describe a Go program; use perf on this process"),
    Row::new("metrics", Kind::Text, "basic", "basic, or extensive for the durations of gRPC calls as well."),
    Row::new("listen-metrics-urls", Kind::Urls, "", "More URLs to serve /metrics and the health endpoints on."),
    Row::new("warning-apply-duration", Kind::Duration, "100ms", "Warn when applying an entry takes longer."),
    Row::new(
        "warning-unary-request-duration",
        Kind::Duration,
        "300ms",
        "Warn when a request takes longer. 0 stands for 300ms.",
    ),
];

pub(super) const LOGGING: &[Row] = &[
    Row::new("logger", Kind::Text, "zap", "Shape of the log lines; zap is the only one."),
    Row::new(
        "log-outputs",
        Kind::List,
        "default",
        "Where log lines go: default, stderr, stdout, systemd/journal or files. default is the journal when it reads our stderr, else stderr.",
    ),
    Row::new("log-level", Kind::Text, "info", "Lowest level that is logged: debug, info, warn, error, panic or fatal."),
    Row::new("log-format", Kind::Text, "json", "json or console."),
    Row::new(
        "enable-log-rotation",
        Kind::Bool,
        "false",
        "Rotate the log file; needs exactly one file in --log-outputs.",
    ),
    Row::new(
        "log-rotation-config-json",
        Kind::Text,
        r#"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#,
        "When to rotate: maxsize in MB, maxage in days (0: no limit), maxbackups (0: no limit).",
    ),
];

pub(super) const TRACING: &[Row] = &[
    Row::new("enable-distributed-tracing", Kind::Bool, "false", "Send traces over OTLP."),
    Row::new("distributed-tracing-address", Kind::Text, "localhost:4317", "Where traces go."),
    Row::new("distributed-tracing-service-name", Kind::Text, "etcd", "Service name in traces."),
    Row::new("distributed-tracing-instance-id", Kind::Text, "", "Instance id in traces."),
    Row::new("distributed-tracing-sampling-rate", Kind::Signed, "0", "Traces kept per million."),
];
