//! `auth rescue`: root's password is lost.
//!
//! The member on this machine is started for a moment with another listener: on loopback, with TLS
//! of a CA that lives as long as this command, and with users known by their certificates. Root
//! connects to that listener with a certificate, and sets a new password as any client would: the
//! change is ordered and replicated, so no member's data is changed without the others. A user that
//! may stop the member and read its data could do as much by hand.

use super::args::RescueArgs;
use crate::cli::context::Context;
use admin_client::{CallError, Client, ConnectionArgs, Local, Repeat, Settings, TlsFiles, settings_of_file};
use admin_offline::data_dir::{has_member, must_be_idle};
use admin_offline::temp_member::TempMember;
use admin_ui::confirm::confirm;
use admin_ui::error::{CliError, FAILED, TIMED_OUT};
use admin_ui::output::print_result;
use admin_ui::progress::note;
use certs::{Ca, CaPlan, KeyAlgorithm, LeafPlan, Name, PrivateKey, Profile};
use proto::etcdserverpb::{AuthDisableRequest, AuthStatusRequest, AuthUserChangePasswordRequest};
use serde::Serialize;
use serde_norway::Mapping;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tonic::Code;

const LIFETIME: time::Duration = time::Duration::days(1);
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);
/// Settings that would open more doors than the one that is wanted.
const LISTENERS: [&str; 4] =
    ["listen-client-http-urls", "listen-metrics-urls", "log-outputs", "client-transport-security"];

#[derive(Debug, Serialize)]
struct Rescued {
    changed: bool,
    dry_run: bool,
    member: String,
    /// `true` if authentication is off now.
    disabled: bool,
}

pub(super) async fn rescue(context: &Context, args: &RescueArgs) -> Result<ExitCode, CliError> {
    let loaded = settings_of_file(&args.config)
        .map_err(|reason| CliError::usage(format!("{}: {reason}", args.config.display())))?;
    let data = loaded.settings.member.data_dir.clone();
    must_be_idle(&data)?;
    if !has_member(&data) {
        return Err(CliError::refused(format!("{}: no member has been here", data.display())));
    }
    let password = args.new_password_file.as_deref().map(password).transpose()?;
    let name = loaded.settings.member.name.clone();
    let what = if args.disable { "switch authentication off" } else { "give root a new password" };
    let mut report = Rescued { changed: true, dry_run: context.dry_run, member: name.clone(), disabled: args.disable };
    if !context.dry_run {
        confirm(&format!("This starts member {name} for a moment, to {what} for the whole cluster."), &name, args.yes)?;
        let dir = tempfile::tempdir()
            .map_err(|error| CliError::new(FAILED, format!("create a temporary directory: {error}")))?;
        let owner = owner_of(&data)?;
        let door = Door::make(context, dir.path())?;
        let config = door.configuration(&args.config, dir.path())?;
        door.give(dir.path(), owner)?;
        let mut member = TempMember::with_config(&config, door.client()?, owner)?;
        note("waiting for the member to find its cluster; other members have to run, as for any write");
        report.changed = act(&mut member, args, password.as_deref()).await?;
        member.stop()?;
    }
    print_result(context.format, &report, || match (report.dry_run, report.changed) {
        (true, _) => format!("would start member {name} for a moment, and {what}\n"),
        (false, true) => format!("done: {what}. Start the member again: systemctl start etcd-server\n"),
        (false, false) => {
            "authentication is off: nothing changed. Start the member again: systemctl start etcd-server\n".to_owned()
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn password(path: &Path) -> Result<String, CliError> {
    certs::files::check_private(path)?;
    let text = certs::files::read_text(path)?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    if line.is_empty() {
        Err(CliError::usage(format!("{}: its first line has no password", path.display())))
    } else {
        Ok(line)
    }
}

/// Returns the user that the daemon has to run as, where it is another than the caller.
fn owner_of(data: &Path) -> Result<Option<(u32, u32)>, CliError> {
    let metadata = std::fs::metadata(data).map_err(|error| CliError::at(data, error))?;
    let own = nix::unistd::geteuid();
    if own.as_raw() == metadata.uid() {
        return Ok(None);
    }
    if own.is_root() {
        return Ok(Some((metadata.uid(), metadata.gid())));
    }
    Err(CliError::refused(format!("{} is owned by another user: run this as root", data.display())))
}

/// The listener for one command, and its permitted client.
struct Door {
    url: String,
    files: Vec<PathBuf>,
}

impl Door {
    fn make(context: &Context, dir: &Path) -> Result<Self, CliError> {
        let plan = CaPlan { common_name: "auth rescue".to_owned(), lifetime: LIFETIME, constraints: Vec::new() };
        let ca = Ca::create(&plan, PrivateKey::generate(KeyAlgorithm::P256)?, context.now)?;
        let mut files = vec![dir.join("ca.crt")];
        certs::files::create(&files[0], ca.certificate().pem.as_bytes(), 0o600)?;
        let names = vec![Name::parse("127.0.0.1")?];
        for (stem, profile, common_name, names) in
            [("server", Profile::Server, "rescue", names), ("root", Profile::Admin, "root", Vec::new())]
        {
            let plan = LeafPlan {
                profile,
                common_name: common_name.to_owned(),
                names,
                lifetime: LIFETIME,
                loopback_only: true,
            };
            let key = PrivateKey::generate(KeyAlgorithm::P256)?;
            let made = ca.issue(&plan, &key, context.now)?;
            for (end, text) in [("crt", made.pem.as_bytes()), ("key", key.to_pem().as_bytes())] {
                let path = dir.join(format!("{stem}.{end}"));
                certs::files::create(&path, text, 0o600)?;
                files.push(path);
            }
        }
        let [url, _] = TempMember::urls()?;
        Ok(Self { url: url.replace("http:", "https:"), files })
    }

    /// The member's own configuration with this listener in place of its clients'.
    fn configuration(&self, config: &Path, dir: &Path) -> Result<PathBuf, CliError> {
        let text = std::fs::read_to_string(config).map_err(|error| CliError::at(config, error))?;
        let mut settings: Mapping =
            serde_norway::from_str(&text).map_err(|error| CliError::usage(format!("{}: {error}", config.display())))?;
        for key in LISTENERS {
            settings.remove(key);
        }
        settings.insert("listen-client-urls".into(), self.url.clone().into());
        let mut section = Mapping::new();
        for (key, file) in [("cert-file", "server.crt"), ("key-file", "server.key"), ("trusted-ca-file", "ca.crt")] {
            section.insert(key.into(), dir.join(file).display().to_string().into());
        }
        section.insert("client-cert-auth".into(), true.into());
        settings.insert("client-transport-security".into(), section.into());
        let path = dir.join("etcd.yaml");
        certs::files::create(&path, crate::cluster_config::yaml_text("", &settings)?.as_bytes(), 0o600)?;
        Ok(path)
    }

    /// Gives the daemon ownership of its files.
    fn give(&self, dir: &Path, owner: Option<(u32, u32)>) -> Result<(), CliError> {
        let Some((user, group)) = owner else { return Ok(()) };
        let config = dir.join("etcd.yaml");
        for path in self.files.iter().map(PathBuf::as_path).chain([dir, config.as_path()]) {
            chown(path, Some(user), Some(group)).map_err(|error| CliError::at(path, error))?;
        }
        Ok(())
    }

    fn client(&self) -> Result<Client, CliError> {
        let args = ConnectionArgs { endpoints: Some(vec![self.url.clone()]), ..ConnectionArgs::default() };
        let mut settings =
            Settings::of(&args, &BTreeMap::new(), Local::Ignored, || Err("no password is needed".to_owned()))?;
        let file = |name: &str| self.files.iter().find(|path| path.ends_with(name)).cloned();
        settings.tls =
            TlsFiles { cacert: file("ca.crt"), cert: file("root.crt"), key: file("root.key"), skip_verify: false };
        Ok(Client::new(settings)?)
    }
}

/// Asks until the member serves; answers whether anything was changed.
async fn act(member: &mut TempMember, args: &RescueArgs, password: Option<&str>) -> Result<bool, CliError> {
    let begun = Instant::now();
    loop {
        let error = match once(&member.client, args, password).await {
            Ok(changed) => return Ok(changed),
            Err(error) => error,
        };
        member.must_live()?;
        let soon = matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Unknown);
        if !soon {
            return Err(error.into());
        }
        if begun.elapsed() > args.wait {
            let text = format!(
                "the member found no majority of its cluster within {:?}: {error}; start the others first",
                args.wait
            );
            return Err(CliError::new(TIMED_OUT, text));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(client: &Client, args: &RescueArgs, password: Option<&str>) -> Result<bool, CallError> {
    let status =
        client.call(Repeat::Safe, async |session| session.auth().auth_status(AuthStatusRequest {}).await).await?;
    if !status.enabled {
        return Ok(false);
    }
    if args.disable {
        client.call(Repeat::Safe, async |session| session.auth().auth_disable(AuthDisableRequest {}).await).await?;
    } else {
        let password = password.unwrap_or_default().to_owned();
        let request =
            AuthUserChangePasswordRequest { name: "root".to_owned(), password, hashed_password: String::new() };
        client.call(Repeat::Safe, async |session| session.auth().user_change_password(request.clone()).await).await?;
    }
    Ok(true)
}
