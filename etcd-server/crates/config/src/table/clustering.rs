//! Settings by which members find and keep each other.

use crate::row::{Kind, Row};

const CLIENT: &str = "client";
const CONFIG: &str = "discovery-config";
const SECURE: &str = "secure";

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "initial-advertise-peer-urls",
        Kind::Urls,
        "http://localhost:2380",
        "This member's peer URLs as the other members reach them.",
    ),
    Row::new(
        "initial-cluster",
        Kind::Text,
        "default=http://localhost:2380",
        "Members of a new cluster: name=url,name=url. A name may repeat for several URLs.",
    ),
    Row::new(
        "initial-cluster-state",
        Kind::Choice(&["new", "existing"]),
        "new",
        "new starts a cluster, existing joins one. Ignored once the member has data.",
    ),
    Row::new(
        "initial-cluster-token",
        Kind::Text,
        "etcd-cluster",
        "Token that goes into the ids of a new cluster, so that two clusters differ.",
    ),
    Row::new("advertise-client-urls", Kind::Urls, "http://localhost:2379", "This member's client URLs as clients reach them."),
    Row::new("discovery-token", Kind::Text, "", "Token of the cluster to form; goes with --discovery-endpoints.").yaml(&[CONFIG, "token"]),
    Row::new("discovery-endpoints", Kind::List, "", "Endpoints of the discovery cluster; goes with --discovery-token.").yaml(&[
        CONFIG,
        CLIENT,
        "endpoints",
    ]),
    Row::new("discovery-dial-timeout", Kind::Duration, "2s", "Time limit for connecting to the discovery cluster.").yaml(&[
        CONFIG,
        CLIENT,
        "dial-timeout",
    ]),
    Row::new("discovery-request-timeout", Kind::Duration, "5s", "Time limit for a request to the discovery cluster.").yaml(&[
        CONFIG,
        CLIENT,
        "request-timeout",
    ]),
    Row::new("discovery-keepalive-time", Kind::Duration, "2s", "Time between pings to the discovery cluster.").yaml(&[
        CONFIG,
        CLIENT,
        "keepalive-time",
    ]),
    Row::new("discovery-keepalive-timeout", Kind::Duration, "6s", "Timeout for the response to such a ping.").yaml(&[
        CONFIG,
        CLIENT,
        "keepalive-timeout",
    ]),
    Row::new("discovery-insecure-transport", Kind::Bool, "true", "Talk to the discovery cluster without TLS.").yaml(&[
        CONFIG,
        CLIENT,
        SECURE,
        "insecure-transport",
    ]),
    Row::new("discovery-insecure-skip-tls-verify", Kind::Bool, "false", "Do not verify the discovery cluster's certificate.").yaml(&[
        CONFIG,
        CLIENT,
        SECURE,
        "insecure-skip-tls-verify",
    ]),
    Row::new("discovery-cert", Kind::Text, "", "Certificate shown to the discovery cluster.").yaml(&[CONFIG, CLIENT, SECURE, "cert"]),
    Row::new("discovery-key", Kind::Text, "", "Key of that certificate.").yaml(&[CONFIG, CLIENT, SECURE, "key"]),
    Row::new("discovery-cacert", Kind::Text, "", "CA that signed the discovery cluster's certificate.")
        .yaml(&[CONFIG, CLIENT, SECURE, "cacert"]),
    Row::new("discovery-user", Kind::Text, "", "User at the discovery cluster, as name or name:password.")
        .yaml(&[CONFIG, CLIENT, "auth", "username"])
        .secret(),
    Row::new("discovery-password", Kind::Text, "", "That user's password.").yaml(&[CONFIG, CLIENT, "auth", "password"]).secret(),
    Row::new("discovery-fallback", Kind::Choice(&["exit", "proxy"]), "exit", "What to do when discovery fails. Only exit is left.")
        .flag_only(),
    Row::new("discovery-srv", Kind::Text, "", "DNS domain whose SRV records name the members."),
    Row::new("discovery-srv-name", Kind::Text, "", "Suffix of the SRV service names to query."),
    Row::new("strict-reconfig-check", Kind::Bool, "true", "Refuse membership changes that would lose the quorum."),
    Row::new("pre-vote", Kind::Bool, "true", "Check that an election can be won before starting it (Pre-Vote)."),
    Row::new(
        "auto-compaction-retention",
        Kind::Text,
        "0",
        "History that automatic compaction keeps: hours or a duration, or a number of revisions. 0 turns it off.",
    ),
    Row::new("auto-compaction-mode", Kind::Text, "periodic", "How --auto-compaction-retention is meant: periodic or revision."),
    Row::new(
        "v2-deprecation",
        Kind::Choice(&["write-only", "write-only-skip-check", "write-only-drop-data", "gone"]),
        "write-only",
        "Phase of the removal of the v2 store. Deprecated.",
    )
    .deprecated("--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user input."),
];
