//! snapshot save.

use crate::context::{Ctl, one};
use crate::error::{CtlError, Exit};
use crate::print::say;
use admin_client::CallError;
use admin_client::download::{DownloadError, download};
use std::path::Path;

pub(super) async fn save(ctl: &Ctl, args: &[String]) -> Result<(), CtlError> {
    let path = one(args, "snapshot save expects one argument <filename>")?;
    let endpoints = &ctl.client.settings.endpoints;
    if endpoints.len() != 1 {
        let text = format!("snapshot must be requested to one selected node, not multiple [{}]", endpoints.join(" "));
        return Err(CtlError::new(Exit::Interrupted, text));
    }
    let session = ctl.client.session().await.map_err(|error| CtlError::from(error).with(Exit::Interrupted))?;
    let saving = download(&session, Path::new(path), |_, _| {});
    let settings = &ctl.client.settings;
    let saved = if settings.command_timeout_given {
        let late = |_| CtlError::new(Exit::Interrupted, "context deadline exceeded");
        tokio::time::timeout(settings.command_timeout, saving).await.map_err(late)?
    } else {
        saving.await
    };
    let saved = saved.map_err(|error| match error {
        DownloadError::Call(status) => {
            CtlError::from(CallError::Status { endpoint: session.endpoint().to_owned(), status })
                .with(Exit::Interrupted)
        }
        other @ (DownloadError::File { .. } | DownloadError::NoDigest(_) | DownloadError::WrongDigest) => {
            CtlError::new(Exit::Interrupted, other.to_string())
        }
    })?;
    say(format!("Snapshot saved at {path}\n").as_bytes())?;
    if saved.version.is_empty() { Ok(()) } else { say(format!("Server version {}\n", saved.version).as_bytes()) }
}
