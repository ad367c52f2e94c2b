//! One finding, and the printed list of them.

use crate::cli::context::Context;
use admin_ui::error::{CHECK_FAILED, CliError};
use admin_ui::output::{print_result, table};
use certs::Severity;
use serde::Serialize;
use std::process::ExitCode;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// A stable word. All fields are always in the JSON, empty or not, so that scripts can rely on them.
    pub(crate) check: &'static str,
    pub(crate) severity: Severity,
    /// Member, file or address that it is about; empty for the whole.
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The remedy; empty when there is none.
    pub(crate) remedy: String,
}

impl Finding {
    #[expect(clippy::needless_pass_by_value, reason = "names, addresses and the texts of paths, as they come")]
    pub(crate) fn good(check: &'static str, subject: impl ToString, text: impl Into<String>) -> Self {
        Self { check, severity: Severity::Good, subject: subject.to_string(), text: text.into(), remedy: String::new() }
    }

    pub(crate) fn warning(
        check: &'static str,
        subject: impl ToString,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, remedy: remedy.into(), ..Self::good(check, subject, text) }
    }

    pub(crate) fn bad(
        check: &'static str,
        subject: impl ToString,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Bad, remedy: remedy.into(), ..Self::good(check, subject, text) }
    }
}

impl Finding {
    /// Returns it on two lines, the second with the remedy.
    pub(crate) fn paragraph(&self) -> String {
        let subject = if self.subject.is_empty() { String::new() } else { format!(" {}", self.subject) };
        let remedy = if self.remedy.is_empty() { String::new() } else { format!("    {}\n", self.remedy) };
        format!("  {}{subject}: {}\n{remedy}", self.check, self.text)
    }

    /// Returns `true` if there is something to do.
    pub(crate) fn is_problem(&self) -> bool {
        self.severity != Severity::Good
    }
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    /// `true` if no finding is bad.
    ok: bool,
    bad: usize,
    warnings: usize,
    findings: &'a [Finding],
}

/// The worst first; ends with 3 when something is bad.
pub(crate) fn tell(context: &Context, mut findings: Vec<Finding>) -> Result<ExitCode, CliError> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (bad, warnings) = (count(Severity::Bad), count(Severity::Warning));
    let report = Report { ok: bad == 0, bad, warnings, findings: &findings };
    print_result(context.format, &report, || {
        let rows: Vec<_> = findings.iter().map(row).collect();
        let cures = findings.iter().filter(|finding| !finding.remedy.is_empty());
        let cures: String =
            cures.map(|finding| format!("{} {}: {}\n", finding.check, finding.subject, finding.remedy)).collect();
        let cures = if cures.is_empty() { String::new() } else { format!("\nWhat to do\n{cures}") };
        format!(
            "{}{cures}\n{} checked, {bad} bad, {warnings} warnings\n",
            table(&["", "CHECK", "OF", "FINDING"], &rows),
            findings.len()
        )
    })?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(CHECK_FAILED) })
}

fn row(finding: &Finding) -> Vec<String> {
    let mark = match finding.severity {
        Severity::Good => "ok",
        Severity::Warning => "WARN",
        Severity::Bad => "BAD",
    };
    vec![mark.to_owned(), finding.check.to_owned(), finding.subject.clone(), finding.text.clone()]
}
