//! The revocation lists of a listener. It refuses every certificate of a CA whose list is missing
//! or has expired.

use super::finding::Finding;
use admin_ui::error::CliError;
use certs::{CertificateFacts, RevocationListFacts};
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// Time before the end of a list from which it is reported.
const WARN: Duration = Duration::days(14);
const REMEDY: &str = "where its key is: etcd-admin crl publish; then here: etcd-admin cert install";

/// Returns a finding for each CA in the bundle `ca`, by the lists in `list`.
pub(super) fn lists(now: OffsetDateTime, list: &Path, ca: &Path) -> Vec<Finding> {
    let of_bundle = || -> Result<Vec<Finding>, CliError> {
        let (lists, bundle) = (crate::host::revocation_lists(list)?, crate::host::certificates(ca)?);
        bundle.iter().map(|issuer| of_issuer(now, list, &lists, issuer)).collect()
    };
    of_bundle().unwrap_or_else(|error| vec![Finding::bad("revocation-list", list.display(), error.to_string(), REMEDY)])
}

fn of_issuer(now: OffsetDateTime, list: &Path, lists: &[impl AsRef<[u8]>], issuer: &[u8]) -> Result<Finding, CliError> {
    let subject = CertificateFacts::of(issuer).map_err(|error| CliError::of_file(list, &error))?.subject;
    let own = lists.iter().filter(|list| RevocationListFacts::is_signed_by(list.as_ref(), issuer));
    let own = own.map(|list| RevocationListFacts::of(list.as_ref())).collect::<Result<Vec<_>, _>>();
    let own = own.map_err(|error| CliError::of_file(list, &error))?;
    let Some(end) = own.iter().filter_map(|list| list.next_update).max() else {
        let text = format!("no CRL of the CA {subject} with an expiry date: every certificate of it is refused");
        return Ok(Finding::bad("revocation-list", list.display(), text, REMEDY));
    };
    let left = certs::time_left(end, now);
    Ok(if end < now {
        let text = format!("the list of the CA {subject} has expired: every certificate of it is refused");
        Finding::bad("revocation-list", list.display(), text, REMEDY)
    } else if end - now < WARN {
        let text = format!("the list of the CA {subject} expires in {left}; every certificate of it is refused then");
        Finding::warning("revocation-list", list.display(), text, REMEDY)
    } else {
        Finding::good("revocation-list", list.display(), format!("the list of the CA {subject} holds for {left}"))
    })
}
