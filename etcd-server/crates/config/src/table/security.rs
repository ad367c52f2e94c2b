//! Settings of TLS, browsers and tokens.

use crate::row::{Kind, Row};

const CLIENT: &str = "client-transport-security";
const PEER: &str = "peer-transport-security";

pub(super) const ROWS: &[Row] = &[
    Row::new("cert-file", Kind::Text, "", "Certificate shown to clients.").yaml(&[CLIENT, "cert-file"]),
    Row::new("key-file", Kind::Text, "", "Key of that certificate.").yaml(&[CLIENT, "key-file"]),
    Row::new(
        "client-cert-file",
        Kind::Text,
        "",
        "Certificate shown when this member itself is a client; else --cert-file.",
    )
    .yaml(&[CLIENT, "client-cert-file"]),
    Row::new("client-key-file", Kind::Text, "", "Key of that certificate.").yaml(&[CLIENT, "client-key-file"]),
    Row::new(
        "client-cert-auth",
        Kind::Bool,
        "false",
        "Require certificates of clients; their common name is the user.",
    )
    .yaml(&[CLIENT, "client-cert-auth"]),
    Row::new(
        "client-crl-file",
        Kind::Text,
        "",
        "List of revoked client certificates. Its key in a file is not in etcd.",
    )
    .yaml(&[CLIENT, "crl-file"]),
    Row::new("client-cert-allowed-hostname", Kind::List, "", "Host names of which a client certificate must hold one.")
        .yaml(&[CLIENT, "allowed-hostname"]),
    Row::new("trusted-ca-file", Kind::Text, "", "CA for client certificates; giving it makes them mandatory.")
        .yaml(&[CLIENT, "trusted-ca-file"]),
    Row::new("auto-tls", Kind::Bool, "false", "Serve clients with a self-signed certificate.")
        .yaml(&[CLIENT, "auto-tls"]),
    Row::new("peer-cert-file", Kind::Text, "", "Certificate shown to other members.").yaml(&[PEER, "cert-file"]),
    Row::new("peer-key-file", Kind::Text, "", "Key of that certificate.").yaml(&[PEER, "key-file"]),
    Row::new(
        "peer-client-cert-file",
        Kind::Text,
        "",
        "Certificate shown when connecting to another member; else --peer-cert-file.",
    )
    .yaml(&[PEER, "client-cert-file"]),
    Row::new("peer-client-key-file", Kind::Text, "", "Key of that certificate.").yaml(&[PEER, "client-key-file"]),
    Row::new("peer-client-cert-auth", Kind::Bool, "false", "Require certificates of connecting members.")
        .yaml(&[PEER, "client-cert-auth"]),
    Row::new("peer-trusted-ca-file", Kind::Text, "", "CA for certificates of members.")
        .yaml(&[PEER, "trusted-ca-file"]),
    Row::new("peer-cert-allowed-cn", Kind::List, "", "Common names of which a member's certificate must have one.")
        .yaml(&[PEER, "allowed-cn"]),
    Row::new("peer-cert-allowed-hostname", Kind::List, "", "Host names of which a member's certificate must hold one.")
        .yaml(&[PEER, "allowed-hostname"]),
    Row::new("peer-auto-tls", Kind::Bool, "false", "Serve members with a self-signed certificate.")
        .yaml(&[PEER, "auto-tls"]),
    Row::new("peer-crl-file", Kind::Text, "", "List of revoked member certificates. Its key in a file is not in etcd.")
        .yaml(&[PEER, "crl-file"]),
    Row::new(
        "peer-skip-client-san-verification",
        Kind::Bool,
        "false",
        "Do not compare a member's address with the names in its certificate.",
    )
    .yaml(&[PEER, "skip-client-san-verification"]),
    Row::new(
        "self-signed-cert-validity",
        Kind::Unsigned(64),
        "1",
        "Years for which self-signed certificates are valid.",
    ),
    Row::new(
        "cipher-suites",
        Kind::List,
        "",
        "TLS 1.2 cipher suites, by their Go names. Empty stands for the library's choice.",
    ),
    Row::new("tls-min-version", Kind::Text, "TLS1.2", "Lowest TLS version: TLS1.2 or TLS1.3."),
    Row::new(
        "tls-max-version",
        Kind::Text,
        "",
        "Highest TLS version: TLS1.2 or TLS1.3. Empty stands for the highest known.",
    ),
    Row::new(
        "strict-file-checks",
        Kind::Bool,
        "false",
        "Refuse private keys and data directories that others can read, and revocation lists that have expired or miss an issuer. Without it they are warned about. Counts beside --config-file too. Not in etcd.",
    ),
    Row::new("cors", Kind::Origins, "*", "Origins that browsers may call from. Empty or * allows all."),
    Row::new(
        "host-whitelist",
        Kind::CommaList,
        "*",
        "Host names that plain HTTP requests may use. Empty or * allows all.",
    ),
];

pub(super) const AUTH: &[Row] = &[
    Row::new("auth-token", Kind::Text, "simple", "Kind of user tokens: simple, or jwt with its options."),
    Row::new("bcrypt-cost", Kind::Unsigned(64), "10", "Work factor of new password hashes, 4 to 31."),
    Row::new("auth-token-ttl", Kind::Unsigned(64), "300", "Seconds after which an unused simple token expires."),
];
