//! `wait`: until the cluster is as somebody needs it. What is down yet is asked again.

use super::view::{ClusterView, Seen};
use super::words::{Goal, WaitForWords};
use crate::client::{Client, Repeat};
use crate::context::Context;
use crate::failure::{Failure, TIMED_OUT};
use crate::output::answer;
use crate::progress::note;
use proto::etcdserverpb::{RangeRequest, StatusRequest};
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(250);
/// Between two lines about the same obstacle.
const REMIND: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct Waited {
    /// Never: waiting changes nothing.
    changed: bool,
    goal: Goal,
    reached: bool,
    seconds: u64,
    /// How it is now.
    state: String,
}

pub(crate) async fn wait(context: &Context, client: &Client, words: &WaitForWords) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let mut told: Option<(String, Instant)> = None;
    // Where the others were when it began: nobody can catch up with what is written meanwhile.
    let mut target = None;
    loop {
        let obstacle = match look(client, words, &mut target).await {
            Ok(state) => {
                let waited = Waited { changed: false, goal: words.goal, reached: true, seconds: begun.elapsed().as_secs(), state };
                answer(context.format, &waited, || format!("{}\n", waited.state))?;
                return Ok(ExitCode::SUCCESS);
            }
            Err(obstacle) => obstacle,
        };
        if begun.elapsed() >= words.timeout {
            let text = format!("not {} within {:?}: {obstacle}", words.goal.name(), words.timeout);
            return Err(Failure::new(TIMED_OUT, text));
        }
        if told.as_ref().is_none_or(|(before, at)| *before != obstacle || at.elapsed() > REMIND) {
            note(&format!("waiting, {} s: {obstacle}", begun.elapsed().as_secs()));
            told = Some((obstacle, Instant::now()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The state when the goal is reached, or what is in the way.
async fn look(client: &Client, words: &WaitForWords, target: &mut Option<u64>) -> Result<String, String> {
    match words.goal {
        Goal::Leader => {
            let status = client.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await;
            let status = status.map_err(|error| error.to_string())?;
            if status.leader == 0 { Err("the member knows no leader".to_owned()) } else { Ok(format!("member {:x} leads", status.leader)) }
        }
        Goal::Quorum => {
            let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
            match client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await {
                Ok(_) => Ok("a quorum answers".to_owned()),
                // Who may not read has been judged by a quorum, too.
                Err(error) if error.code() == tonic::Code::PermissionDenied => Ok("a quorum answers".to_owned()),
                Err(error) => {
                    client.leave();
                    Err(error.to_string())
                }
            }
        }
        Goal::Healthy => {
            let view = view(client).await?;
            let away: Vec<String> = view.voters().filter(|seen| !seen.proven).map(Seen::name).collect();
            if view.leader().is_none() {
                return Err("nobody leads".to_owned());
            }
            if !away.is_empty() {
                return Err(format!("{} do not follow the leader", away.join(", ")));
            }
            match view.alarms.first() {
                Some((id, alarm)) => Err(format!("{alarm} of {id:x}")),
                None => Ok(format!("all {} voters follow {}", view.voters().count(), view.leader().map(Seen::name).unwrap_or_default())),
            }
        }
        Goal::CaughtUp => caught_up(client, words, target).await,
    }
}

async fn caught_up(client: &Client, words: &WaitForWords, target: &mut Option<u64>) -> Result<String, String> {
    let view = view(client).await?;
    let target = *target.get_or_insert_with(|| view.members.iter().map(Seen::applied).max().unwrap_or(0));
    let meant = match &words.member {
        Some(word) => vec![view.find(word).ok_or_else(|| format!("no member is called {word}; there are {}", view.names()))?],
        None => view.members.iter().collect(),
    };
    for seen in meant {
        match &seen.status {
            Err(error) => return Err(format!("{}: {error}", seen.name())),
            Ok(status) if status.raft_applied_index < target => {
                return Err(format!("{} has {} of {target} entries", seen.name(), status.raft_applied_index));
            }
            Ok(_) if !seen.member.is_learner && !seen.proven => return Err(format!("{} does not follow the leader", seen.name())),
            Ok(_) => {}
        }
    }
    Ok(format!("entry {target} is applied"))
}

async fn view(client: &Client) -> Result<ClusterView, String> {
    let looked = ClusterView::look(client).await;
    if looked.is_err() {
        client.leave();
    }
    looked.map_err(|failure| failure.to_string().lines().next().unwrap_or_default().to_owned())
}
