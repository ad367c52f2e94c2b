//! From `cluster.yaml` to hosts: rendering a configuration, planning changes, applying them;
//! joining; adopting etcd's configuration.
//!
//! `render` knows no host. `plan` and `apply` look at this one, through the same [`plan::Plan`], so
//! that the printed plan is carried out. A file is not overwritten without being kept, and a second
//! run changes nothing.

mod adopt;
mod apply;
mod certificates;
mod document;
mod files;
mod join;
mod local;
mod plan;
mod sign;
mod words;

pub(crate) use words::{AdoptWords, DocumentWords, InitCommand, JoinWords};

use crate::cli::context::Context;
use crate::client::Client;
use crate::ui::failure::Failure;
use std::process::ExitCode;

pub(crate) fn init(context: &Context, command: InitCommand) -> Result<ExitCode, Failure> {
    match command {
        InitCommand::New(words) => document::new(&words),
        InitCommand::Local(words) => local::local(context, &words),
        InitCommand::Schema => crate::ui::output::say(crate::cluster_config::SCHEMA).map(|()| ExitCode::SUCCESS),
        InitCommand::Render { document, out } => document::render(context, document.cluster.as_deref(), &out),
        InitCommand::Plan(words) => apply::plan(context, &words),
        InitCommand::Apply(words) => apply::apply(context, &words),
        InitCommand::Sign(words) => sign::sign(context, &words),
    }
}

pub(crate) fn adopt(context: &Context, words: &AdoptWords) -> Result<ExitCode, Failure> {
    adopt::adopt(context, words)
}

pub(crate) async fn join(context: &Context, client: &Client, words: &JoinWords) -> Result<ExitCode, Failure> {
    join::join(context, client, words).await
}
