//! member, as in etcdctl: the request is executed at once.

use crate::args::MemberCommand;
use crate::context::{Ctl, one};
use crate::error::{CtlError, Exit};
use crate::keys::member_id;
use crate::print::{Format, MemberChanged, MembersListed, say};
use admin_client::Repeat;
use go_text::quoted;
use proto::etcdserverpb::{
    MemberAddRequest, MemberAddResponse, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest, ResponseHeader,
};

pub(super) async fn run(ctl: &Ctl, command: MemberCommand) -> Result<(), CtlError> {
    match command {
        MemberCommand::Add { args, peer_urls, learner } => add(ctl, &args, urls(&peer_urls), learner).await,
        MemberCommand::Remove(args) => {
            let id = member_id(one(&args.args, "member ID is not provided")?)?;
            let request = MemberRemoveRequest { id };
            let response =
                ctl.client.call(Repeat::Unsafe, async |session| session.cluster().member_remove(request).await).await?;
            let text = said(id, "removed from", response.header.as_ref());
            let (header, members) = (response.header.as_ref(), &response.members[..]);
            ctl.printer.show(&MemberChanged { text, message: response.clone(), header, member: None, members })
        }
        MemberCommand::Update { args, peer_urls } => {
            let id = member_id(one(&args, "member ID is not provided")?)?;
            let peer_urls = urls(&peer_urls);
            if peer_urls.is_empty() {
                return Err(CtlError::arguments("member peer urls not provided"));
            }
            check(&peer_urls)?;
            let request = MemberUpdateRequest { id, peer_ur_ls: peer_urls };
            let response = ctl
                .client
                .call(Repeat::Unsafe, async |session| session.cluster().member_update(request.clone()).await)
                .await?;
            let text = said(id, "updated in", response.header.as_ref());
            let (header, members) = (response.header.as_ref(), &response.members[..]);
            ctl.printer.show(&MemberChanged { text, message: response.clone(), header, member: None, members })
        }
        MemberCommand::List { consistency } => {
            let linearizable = match consistency.as_str() {
                "l" => true,
                "s" => false,
                other => {
                    return Err(CtlError::new(
                        Exit::BadFeature,
                        format!("unknown consistency flag {}", quoted(other.as_bytes())),
                    ));
                }
            };
            let request = MemberListRequest { linearizable };
            let listed =
                ctl.client.call(Repeat::Safe, async |session| session.cluster().member_list(request).await).await?;
            ctl.printer.show(&MembersListed(listed))
        }
        MemberCommand::Promote(args) => {
            let id = member_id(one(&args.args, "member ID is not provided")?)?;
            let request = MemberPromoteRequest { id };
            let response = ctl
                .client
                .call(Repeat::Unsafe, async |session| session.cluster().member_promote(request).await)
                .await?;
            let text = said(id, "promoted in", response.header.as_ref());
            let (header, members) = (response.header.as_ref(), &response.members[..]);
            ctl.printer.show(&MemberChanged { text, message: response.clone(), header, member: None, members })
        }
    }
}

/// The URLs of one flag.
fn urls(flag: &str) -> Vec<String> {
    if flag.is_empty() { Vec::new() } else { flag.split(',').map(str::to_owned).collect() }
}

/// Refuses URLs that cannot reach a member, before any request.
fn check(urls: &[String]) -> Result<(), CtlError> {
    urls.iter()
        .try_for_each(|url| config::Url::parse(url).map(drop).map_err(|error| CtlError::error(error.to_string())))
}

fn said(id: u64, what: &str, header: Option<&ResponseHeader>) -> String {
    format!("Member {id:16x} {what} cluster {:16x}", header.map_or(0, |header| header.cluster_id))
}

async fn add(ctl: &Ctl, args: &[String], peer_urls: Vec<String>, learner: bool) -> Result<(), CtlError> {
    let name = match args {
        [] => return Err(CtlError::arguments("member name not provided")),
        [name] => name,
        more => {
            let urls = more.iter().filter(|arg| arg.to_lowercase().starts_with("http"));
            let hints: String = urls.map(|url| format!(", did you mean --peer-urls={url}")).collect();
            return Err(CtlError::arguments(format!("too many arguments{hints}")));
        }
    };
    if peer_urls.is_empty() {
        return Err(CtlError::arguments("member peer urls not provided"));
    }
    check(&peer_urls)?;
    let joined = peer_urls.join(",");
    let request = MemberAddRequest { peer_ur_ls: peer_urls, is_learner: learner };
    let response =
        ctl.client.call(Repeat::Unsafe, async |session| session.cluster().member_add(request.clone()).await).await?;
    let id = response.member.as_ref().map_or(0, |member| member.id);
    let text = said(id, if learner { "added as learner to" } else { "added to" }, response.header.as_ref());
    let (header, member, members) = (response.header.as_ref(), response.member.as_ref(), &response.members[..]);
    ctl.printer.show(&MemberChanged { text, message: response.clone(), header, member, members })?;
    if ctl.printer.format == Format::Simple { say(settings(&response, id, name, &joined).as_bytes()) } else { Ok(()) }
}

/// Returns the settings to start the new member with.
fn settings(response: &MemberAddResponse, id: u64, name: &str, peer_urls: &str) -> String {
    let entries = response.members.iter().flat_map(|member| {
        let name = if member.id == id { name } else { &member.name };
        member.peer_ur_ls.iter().map(move |url| format!("{name}={url}"))
    });
    let cluster = entries.collect::<Vec<_>>().join(",");
    let quote = |text: &str| quoted(text.as_bytes());
    format!(
        "\nETCD_NAME={}\nETCD_INITIAL_CLUSTER={}\nETCD_INITIAL_ADVERTISE_PEER_URLS={}\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
        quote(name),
        quote(&cluster),
        quote(peer_urls)
    )
}
