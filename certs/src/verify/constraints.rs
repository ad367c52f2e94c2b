//! Name constraints: the names that a CA may issue for, and the check of a certificate's names
//! against them.

use std::net::IpAddr;

/// The constraints of one certificate, by kind of name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NameConstraints {
    pub(super) permitted: Subtrees,
    pub(super) excluded: Subtrees,
}

/// One list of subtrees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subtrees {
    pub(super) domains: Vec<String>,
    /// Network and mask, of one length.
    pub(super) networks: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) mails: Vec<String>,
    pub(super) uri_domains: Vec<String>,
}

/// The subject alternative names of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SubjectNames {
    pub(super) dns: Vec<String>,
    pub(super) mails: Vec<String>,
    pub(super) uris: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
    /// The extension as it is encoded; `None` if there is none.
    pub(super) raw: Option<Vec<u8>>,
}

impl NameConstraints {
    /// Checks the names of a certificate below the one with these constraints.
    ///
    /// # Errors
    /// The name that is outside.
    pub(super) fn check(&self, names: &SubjectNames) -> Result<(), String> {
        for address in &names.addresses {
            let octets = octets(address);
            let within = |subtrees: &Subtrees| subtrees.networks.iter().any(|network| contains(network, &octets));
            verdict(
                "IP address",
                address,
                self.permitted.networks.is_empty() || within(&self.permitted),
                within(&self.excluded),
            )?;
        }
        for name in &names.dns {
            if !is_valid_domain(name, false) {
                return Err(format!("cannot parse dnsName {name:?}"));
            }
            let permitted = self.permitted.domains.is_empty() || within(&self.permitted.domains, name);
            verdict("DNS name", name, permitted, is_excluded(&self.excluded.domains, name))?;
        }
        for uri in &names.uris {
            let host = host_of(uri)?;
            let permitted = self.permitted.uri_domains.is_empty() || within(&self.permitted.uri_domains, &host);
            verdict("URI", uri, permitted, is_excluded(&self.excluded.uri_domains, &host))?;
        }
        for mail in &names.mails {
            let (local, domain) = mailbox(mail)?;
            let permitted =
                self.permitted.mails.is_empty() || is_mail_within(&self.permitted.mails, local, domain, within);
            verdict(
                "email address",
                mail,
                permitted,
                is_mail_within(&self.excluded.mails, local, domain, is_excluded),
            )?;
        }
        Ok(())
    }
}

fn verdict(kind: &str, name: &impl ToString, permitted: bool, excluded: bool) -> Result<(), String> {
    let name = name.to_string();
    if !permitted {
        return Err(format!("{kind} {name:?} is not permitted by any constraint"));
    }
    if excluded { Err(format!("{kind} {name:?} is excluded by a constraint")) } else { Ok(()) }
}

fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn contains((network, mask): &(Vec<u8>, Vec<u8>), address: &[u8]) -> bool {
    network.len() == address.len()
        && network.iter().zip(mask).zip(address).all(|((network, mask), own)| network & mask == own & mask)
}

/// Returns `true` if `name` is one of the domains or below one. An empty domain holds every name.
fn within(domains: &[String], name: &str) -> bool {
    domains.iter().any(|domain| has_suffix(domain, name))
}

/// As [`within`], and a wildcard is excluded if one of the names that it stands for is.
fn is_excluded(domains: &[String], name: &str) -> bool {
    let parent = |name: &str| name.find('.').map(|dot| name[dot..].to_ascii_lowercase());
    within(domains, name)
        || name.starts_with('*')
            && parent(name).is_some_and(|of| domains.iter().any(|domain| parent(domain) == Some(of.clone())))
}

fn has_suffix(domain: &str, name: &str) -> bool {
    let (domain, name) = (domain.to_ascii_lowercase(), name.to_ascii_lowercase());
    match name.strip_suffix(&domain) {
        Some("") => true,
        Some(before) => domain.is_empty() || domain.starts_with('.') || before.ends_with('.'),
        None => false,
    }
}

fn is_mail_within(constraints: &[String], local: &str, domain: &str, within: fn(&[String], &str) -> bool) -> bool {
    let (mailboxes, domains): (Vec<String>, Vec<String>) =
        constraints.iter().cloned().partition(|constraint| constraint.contains('@'));
    let is_same = |mailbox: &String| {
        mailbox.rsplit_once('@').is_some_and(|(own, of)| own == local && of.eq_ignore_ascii_case(domain))
    };
    mailboxes.iter().any(is_same) || within(&domains, domain)
}

fn mailbox(mail: &str) -> Result<(&str, &str), String> {
    let parts = mail.rsplit_once('@').filter(|(local, domain)| {
        let atoms = local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom));
        atoms && !domain.is_empty() && is_valid_domain(domain, false)
    });
    parts.ok_or_else(|| format!("cannot parse rfc822Name {mail:?}"))
}

fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// The host of a URI; one with an address for a host cannot be held against constraints.
fn host_of(uri: &str) -> Result<String, String> {
    let cannot = || format!("URI {uri:?} cannot be matched against constraints");
    let ca = uri
        .split_once("://")
        .map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default())
        .ok_or_else(cannot)?;
    let ca = ca.rsplit_once('@').map_or(ca, |(_, host)| host);
    let host = ca.rsplit_once(':').map_or(ca, |(host, _)| host).to_ascii_lowercase();
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    if host.is_empty() || is_address || !is_valid_domain(&host, false) { Err(cannot()) } else { Ok(host) }
}

/// Go's idea of a domain: no empty label, no trailing dot, printable characters. An empty text is
/// one.
pub(super) fn is_valid_domain(text: &str, is_constraint: bool) -> bool {
    if text.is_empty() {
        return true;
    }
    let labels = if is_constraint { text.strip_prefix('.').unwrap_or(text) } else { text };
    !labels.is_empty()
        && labels.split('.').all(|label| !label.is_empty())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::{is_excluded, within};

    #[test]
    fn holds_names_against_domains() {
        let of = |domain: &str| vec![domain.to_owned()];
        for (domain, name, good) in [
            ("example.org", "example.org", true),
            ("example.org", "A.EXAMPLE.org", true),
            ("example.org", "badexample.org", false),
            (".example.org", "example.org", false),
            (".example.org", "a.example.org", true),
            ("", "anything", true),
            ("example.org", "*.example.org", true),
        ] {
            assert_eq!(within(&of(domain), name), good, "{name} in {domain}");
        }
        assert!(is_excluded(&of("a.example.org"), "*.example.org"));
        assert!(!is_excluded(&of("a.example.org"), "*.example.com"));
        assert!(!within(&of("a.example.org"), "*.example.org"));
    }
}
