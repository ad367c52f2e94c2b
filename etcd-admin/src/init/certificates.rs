//! The certificates of a host: the missing or unsuitable ones, and how to get them.
//!
//! Where the CAs are on this machine, they sign at once. Elsewhere the key is made here and a
//! request waits to be signed. Keys never leave the host, and are never part of the output.

use super::args::{HostArgs, placed};
use super::files::Change;
use crate::cli::context::Context;
use crate::cluster_config::Host;
use crate::host::{self, bundle_name, list_name};
use crate::pki::{current_list, matched, unlock};
use admin_ui::error::CliError;
use certs::files::{CaDir, HostDir, HostFile};
use certs::{CaKind, CertificateFacts, KeyAlgorithm, LeafPlan, Name, PrivateKey, Profile, SigningRequest};
use std::path::{Path, PathBuf};
use time::Duration;

pub(super) const PROFILES: [Profile; 2] = [Profile::Server, Profile::Peer];

#[derive(Debug)]
enum Step {
    /// Signed by a CA on this machine.
    Issue(LeafPlan, CaDir),
    /// To be signed elsewhere.
    Request(LeafPlan),
    /// Signed elsewhere, for a key that is here.
    Install(PathBuf),
    /// A bundle of CAs, or a revocation list.
    Trust(String, PathBuf),
    /// The revocation list of a CA on this machine, which has none that is current.
    Publish(CaDir),
}

/// The work to be done.
#[derive(Debug)]
pub(super) struct Certificates {
    dir: PathBuf,
    steps: Vec<Step>,
    algorithm: KeyAlgorithm,
    pub(super) changes: Vec<Change>,
    /// CAs whose list is on this host when the plan is done.
    pub(super) lists: Vec<CaKind>,
    /// Steps elsewhere before the member can start.
    pub(super) next: Vec<String>,
}

/// The certificate that a host shall have.
pub(super) fn leaf_plan(host: &Host<'_>, profile: Profile) -> Result<LeafPlan, CliError> {
    let names = host.certificate_names().iter().map(|name| Name::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let lifetime = Duration::days(host.file.tls.days.into());
    Ok(LeafPlan { profile, common_name: host.entry.name.clone(), names, lifetime, loopback_only: host.is_loopback() })
}

impl Certificates {
    pub(super) fn plan(context: &Context, host: &Host<'_>, args: &HostArgs) -> Result<Self, CliError> {
        let dir = placed(args, &host.certificates());
        let algorithm = KeyAlgorithm::named(&host.file.tls.key).unwrap_or(KeyAlgorithm::P256);
        let mut all =
            Self { dir, steps: Vec::new(), algorithm, changes: Vec::new(), lists: Vec::new(), next: Vec::new() };
        for profile in PROFILES {
            all.look_at(context, host, args, profile)?;
        }
        for kind in CaKind::ALL {
            all.look_at_bundle(context, args, kind)?;
            all.look_at_list(context, args, kind)?;
        }
        Ok(all)
    }

    fn look_at(
        &mut self,
        context: &Context,
        host: &Host<'_>,
        args: &HostArgs,
        profile: Profile,
    ) -> Result<(), CliError> {
        let there = HostDir::at(&self.dir);
        let plan = leaf_plan(host, profile)?;
        plan.check()?;
        let stem = profile.name();
        let path = there.current(&format!("{stem}.crt"));
        let present = if path.is_file() { Some(host::facts(&path)?) } else { None };
        let has_key = there.current(&format!("{stem}.key")).is_file();
        let lacks = |facts: &CertificateFacts| !facts.uncovered(&plan.names).is_empty() || facts.is_due(context.now);
        if has_key && present.as_ref().is_some_and(|facts| !lacks(facts)) {
            return Ok(());
        }
        let names = plan.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let signed = args.signed.as_ref().map(|dir| dir.join(format!("{stem}.crt"))).filter(|path| path.is_file());
        let request = there.pending(&format!("{stem}.csr"));
        let (step, after) = if let Some(signed) = signed {
            (Some(Step::Install(signed.clone())), format!("the certificate of {}", signed.display()))
        } else if let Some(ca) = ca(context, profile.ca()) {
            (Some(Step::Issue(plan, ca)), format!("a new key, and a certificate for {names}"))
        } else if request.is_file() {
            (None, String::new())
        } else {
            (Some(Step::Request(plan)), format!("a new key that stays here, and a request for {names}"))
        };
        if matches!(step, None | Some(Step::Request(_))) {
            let text = format!(
                "take server.csr and peer.csr of {} to where the CAs are, and bring back what this writes: etcd-admin init sign --member {} --requests DIR --out DIR",
                there.pending("").display(),
                host.entry.name
            );
            if !self.next.contains(&text) {
                self.next.push(text);
            }
        }
        if let Some(step) = step {
            let before = present.map(|facts| {
                format!(
                    "a certificate for {}, {} left",
                    facts.names.len(),
                    certs::time_left(facts.not_after, context.now)
                )
            });
            let path = if matches!(step, Step::Request(_)) { request } else { path };
            self.changes.push(Change { path, before, after });
            self.steps.push(step);
        }
        Ok(())
    }

    fn look_at_bundle(&mut self, context: &Context, args: &HostArgs, kind: CaKind) -> Result<(), CliError> {
        let name = bundle_name(kind);
        let brought = args.signed.as_ref().map(|dir| dir.join(&name)).filter(|path| path.is_file());
        let Some(source) = brought.or_else(|| ca(context, kind).map(|dir| dir.bundle_path())) else { return Ok(()) };
        let path = HostDir::at(&self.dir).current(&name);
        let same = path.is_file() && *certs::files::read(&path)? == *certs::files::read(&source)?;
        if !same {
            host::certificates(&source)?;
            let before = path.is_file().then(|| "another bundle".to_owned());
            self.changes.push(Change { path, before, after: format!("the bundle of {}", source.display()) });
            self.steps.push(Step::Trust(name, source));
        }
        Ok(())
    }

    /// Plans the revocation list. A member that enforces none goes on serving a client whose
    /// certificate was revoked.
    fn look_at_list(&mut self, context: &Context, args: &HostArgs, kind: CaKind) -> Result<(), CliError> {
        let name = list_name(kind);
        let path = HostDir::at(&self.dir).current(&name);
        let brought = args.signed.as_ref().map(|dir| dir.join(&name)).filter(|path| path.is_file());
        let here = ca(context, kind);
        if brought.is_none()
            && let Some(dir) = here.as_ref()
            && dir.is_list_due(context.now)?
        {
            let before = path.is_file().then(|| "an older CRL".to_owned());
            self.changes.push(Change { path, before, after: format!("a new CRL of the {kind} CA") });
            self.steps.push(Step::Publish(dir.clone()));
            self.lists.push(kind);
            return Ok(());
        }
        let Some(source) = brought.or_else(|| here.map(|dir| dir.revocation_list_path())) else {
            self.lists.extend(path.is_file().then_some(kind));
            return Ok(());
        };
        self.lists.push(kind);
        if !path.is_file() || *certs::files::read(&path)? != *certs::files::read(&source)? {
            host::revocation_lists(&source)?;
            let before = path.is_file().then(|| "another CRL".to_owned());
            self.changes.push(Change { path, before, after: format!("the CRL of {}", source.display()) });
            self.steps.push(Step::Trust(name, source));
        }
        Ok(())
    }

    /// Makes and installs them, all at once.
    pub(super) fn apply(&self, context: &Context, args: &HostArgs) -> Result<(), CliError> {
        let dir = HostDir::at(&self.dir);
        let (mut files, mut answered) = (Vec::new(), Vec::new());
        for step in &self.steps {
            match step {
                Step::Request(plan) => self.request(&dir, plan)?,
                Step::Install(path) => {
                    let (pair, names) = matched(&dir, path)?;
                    files.extend(pair);
                    answered.extend(names);
                }
                Step::Trust(name, source) => files.push(file(name, &certs::files::read(source)?, false)),
                Step::Publish(ca) => {
                    let unlocked = unlock(ca, &args.passphrase)?;
                    files.push(file(&list_name(ca.kind()), &current_list(context, ca, &unlocked)?, false));
                }
                Step::Issue(plan, ca) => {
                    let unlocked = unlock(ca, &args.passphrase)?;
                    let key = PrivateKey::generate(self.algorithm)?;
                    let made = ca.issue(&unlocked, plan, &key, context.now)?;
                    let stem = plan.profile.name();
                    files.push(file(&format!("{stem}.crt"), made.pem.as_bytes(), false));
                    files.push(file(&format!("{stem}.key"), key.to_pem().as_bytes(), true));
                }
            }
        }
        if !files.is_empty() {
            dir.change(&files)?;
        }
        Ok(dir.forget_pending(&answered)?)
    }

    fn request(&self, dir: &HostDir, plan: &LeafPlan) -> Result<(), CliError> {
        let stem = plan.profile.name();
        let names = [format!("{stem}.key"), format!("{stem}.csr")];
        // A key without its request was left by an interruption.
        dir.forget_pending(&names)?;
        let key = PrivateKey::generate(self.algorithm)?;
        let request = SigningRequest::create(&plan.common_name, &plan.names, &key)?;
        dir.keep_pending(&names[0], key.to_pem().as_bytes(), true)?;
        Ok(dir.keep_pending(&names[1], request.pem().as_bytes(), false)?)
    }
}

fn file(name: &str, content: &[u8], private: bool) -> HostFile {
    HostFile { name: name.to_owned(), content: content.to_vec().into(), private }
}

/// Returns the CA, where it is on this machine.
fn ca(context: &Context, kind: CaKind) -> Option<CaDir> {
    let root: PathBuf = context.ca_dir().ok()?;
    let root: &Path = &root;
    Some(CaDir::below(root, kind)).filter(CaDir::exists)
}
