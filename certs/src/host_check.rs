//! Checks of the files of one host, before a daemon uses them.

use crate::{Chain, ChainProblem, Name, PrivateKey, Profile, Usage};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use time::{Duration, OffsetDateTime};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Good,
    Warning,
    /// A daemon or its clients would refuse this.
    Bad,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub severity: Severity,
    pub text: String,
    /// The remedy; empty when there is none.
    pub remedy: String,
}

/// A certificate, its key, its expected peers, and the names that it must be valid for.
#[derive(Debug)]
pub struct HostCheck<'a> {
    pub profile: Profile,
    /// The certificate first, then intermediates.
    pub shown: &'a [CertificateDer<'a>],
    pub cas: &'a [CertificateDer<'a>],
    pub revocation_lists: &'a [CertificateRevocationListDer<'a>],
    /// None when the key cannot be seen from here.
    pub key: Option<&'a PrivateKey>,
    /// Names that it must have.
    pub wanted: &'a [Name],
    /// Time before the end of its life at which to warn.
    pub warn: Duration,
}

impl HostCheck<'_> {
    /// Checks everything, and returns a finding for each.
    #[must_use]
    pub fn run(&self, now: OffsetDateTime) -> Vec<Finding> {
        let chain = Chain { shown: self.shown, cas: self.cas, revocation_lists: self.revocation_lists };
        let Some(facts) = chain.leaf_facts() else {
            return vec![bad(
                "certificate",
                "there is no readable certificate".to_owned(),
                "install one with `etcd-admin cert install`",
            )];
        };
        let roles: &[Usage] =
            if self.profile.is_dialled() { &[Usage::Server, Usage::Client] } else { &[Usage::Client] };
        let mut findings: Vec<_> = roles.iter().map(|role| trusted(&chain, *role, now)).collect();
        findings.push(self.dates(&facts, now));
        if let Some(key) = self.key {
            findings.push(if facts.public_key == key.public_key() {
                good("key", "the key belongs to the certificate".to_owned())
            } else {
                bad(
                    "key",
                    "the key does not belong to the certificate".to_owned(),
                    "install the certificate and key of the same request",
                )
            });
        }
        if self.profile.is_dialled() {
            findings.push(self.names(&facts));
        }
        findings
    }

    fn dates(&self, facts: &crate::CertificateFacts, now: OffsetDateTime) -> Finding {
        let text =
            format!("valid until {} ({})", crate::rfc3339(facts.not_after), crate::time_left(facts.not_after, now));
        if now > facts.not_after || now < facts.not_before {
            bad("dates", text, "renew it with `etcd-admin cert renew`, and check this host's clock")
        } else if facts.not_after - now < self.warn {
            Finding { severity: Severity::Warning, ..bad("dates", text, "renew it with `etcd-admin cert renew`") }
        } else {
            good("dates", text)
        }
    }

    fn names(&self, facts: &crate::CertificateFacts) -> Finding {
        let listed = |names: &[&Name]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let missing = facts.uncovered(self.wanted);
        if facts.names.is_empty() {
            return bad(
                "names",
                "it names no host: every client refuses it".to_owned(),
                "issue it again with the names that it is reached by",
            );
        }
        if missing.is_empty() {
            return good("names", format!("is valid for {}", listed(&facts.names.iter().collect::<Vec<_>>())));
        }
        bad("names", format!("is not valid for {}", listed(&missing)), "issue it again with these names")
    }
}

fn trusted(chain: &Chain<'_>, usage: Usage, now: OffsetDateTime) -> Finding {
    let (check, role) = match usage {
        Usage::Server => ("chain-server", "as a server"),
        Usage::Client => ("chain-client", "as a client"),
    };
    match chain.verify(usage, now) {
        Ok(_) => good(check, format!("trusted {role}")),
        Err(problem) => {
            let remedy = match problem {
                ChainProblem::UnknownIssuer { .. } => "give the bundle of the CA that issued it",
                ChainProblem::WrongUsage => "issue it again with the right profile: servers and peers need both usages",
                ChainProblem::Revoked { .. } => "issue a new one with a new key",
                ChainProblem::UnknownRevocation { .. } | ChainProblem::RevocationListExpired { .. } => {
                    "publish a new list with `etcd-admin crl publish`"
                }
                ChainProblem::Expired(_) | ChainProblem::NotValidYet(_) => "renew it, and check this host's clock",
                ChainProblem::IssuerRefused { .. } => {
                    "make a CA certificate that may sign certificates, and issue it again"
                }
                ChainProblem::NameConstraint(_)
                | ChainProblem::UnhandledExtension(_)
                | ChainProblem::Malformed(_)
                | ChainProblem::Other(_) => "issue it again",
            };
            bad(check, format!("not trusted {role}: {problem}"), remedy)
        }
    }
}

fn good(check: &'static str, text: String) -> Finding {
    Finding { check, severity: Severity::Good, text, remedy: String::new() }
}

fn bad(check: &'static str, text: String, remedy: &str) -> Finding {
    Finding { check, severity: Severity::Bad, text, remedy: remedy.to_owned() }
}
