//! `top`: the cluster on one screen that refreshes. A picture is plain text, so that what is tested is what is seen.

use super::words::TopWords;
use crate::client::{Client, Repeat};
use crate::cluster::{ClusterView, Seen};
use crate::context::Context;
use crate::ctl::size;
use crate::failure::{FAILED, Failure};
use crate::output::{Format, answer, table};
use console::{Key, Term};
use proto::etcdserverpb::StatusRequest;
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One member in the picture. What only it knows is missing while it is away.
#[derive(Clone, Debug, Serialize)]
struct Line {
    name: String,
    id: String,
    /// `leader`, `follower`, `learner` or `away`.
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    /// Entries applied since the last picture, per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_per_second: Option<u64>,
    /// Microseconds until it answered a question about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_microseconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_bytes_in_use: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<i64>,
    alarms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Picture {
    taken_at: String,
    cluster_id: String,
    healthy: bool,
    voters: usize,
    tolerated: usize,
    leader: Option<String>,
    revision: i64,
    /// Revisions since the last picture, per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    revisions_per_second: Option<u64>,
    members: Vec<Line>,
    #[serde(skip)]
    at: Option<Instant>,
}

pub(super) async fn top(context: &Context, client: &Client, words: &TopWords) -> Result<ExitCode, Failure> {
    let terminal = Term::stdout();
    let live = !words.once && terminal.is_term() && context.format == Format::Table;
    let mut picture = look(client, None).await?;
    if !live {
        answer(context.format, &picture, || picture.text())?;
        return Ok(ExitCode::SUCCESS);
    }
    let failed = |error: std::io::Error| Failure::new(FAILED, format!("draw: {error}"));
    // A thread, because a key is waited for without end. It has nothing to clean up and ends with the process.
    let (tx, mut keys) = tokio::sync::mpsc::channel(1);
    let keyboard = terminal.clone();
    std::thread::spawn(move || {
        while let Ok(key) = keyboard.read_key_raw() {
            if matches!(key, Key::Char('q') | Key::Escape | Key::CtrlC) {
                // Nobody listens when the picture has ended already.
                tx.blocking_send(()).ok();
                break;
            }
        }
    });
    terminal.hide_cursor().map_err(failed)?;
    let ended = loop {
        let drawn =
            terminal.clear_screen().and_then(|()| terminal.write_str(&picture.text())).and_then(|()| terminal.write_line("\nq ends"));
        if let Err(error) = drawn {
            break Err(failed(error));
        }
        tokio::select! {
            _ = keys.recv() => break Ok(ExitCode::SUCCESS),
            () = tokio::time::sleep(words.interval) => {}
        }
        match look(client, Some(&picture)).await {
            Ok(next) => picture = next,
            // What cannot be had now may be had again: that nobody answers is what one looks for.
            Err(failure) => {
                client.leave();
                picture.leader = None;
                picture.healthy = false;
                picture
                    .members
                    .iter_mut()
                    .for_each(|line| line.error = Some(failure.to_string().lines().next().unwrap_or_default().to_owned()));
            }
        }
    };
    terminal.show_cursor().map_err(failed)?;
    ended
}

async fn look(client: &Client, before: Option<&Picture>) -> Result<Picture, Failure> {
    let view = ClusterView::look(client).await?;
    let now = Instant::now();
    let elapsed = before.and_then(|before| before.at).map(|at| now - at);
    let newest = view.members.iter().map(Seen::applied).max().unwrap_or(0);
    let mut members = Vec::new();
    for seen in &view.members {
        let earlier = before.and_then(|before| before.members.iter().find(|line| line.id == seen.id()));
        members.push(line(client, &view, seen, newest, earlier.zip(elapsed)).await);
    }
    let healthy = view.leader().is_some() && view.alarms.is_empty() && view.voters().all(|seen| seen.proven);
    Ok(Picture {
        taken_at: certs::rfc3339(time::OffsetDateTime::now_utc()),
        cluster_id: format!("{:x}", view.cluster_id),
        healthy,
        voters: view.voters().count(),
        tolerated: view.tolerated(),
        leader: view.leader().map(Seen::name),
        revision: view.revision,
        revisions_per_second: before
            .zip(elapsed)
            .map(|(before, elapsed)| rate(u64::try_from(view.revision - before.revision).unwrap_or(0), elapsed)),
        members,
        at: Some(now),
    })
}

fn rate(count: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1000) / millis
}

async fn line(client: &Client, view: &ClusterView, seen: &Seen, newest: u64, earlier: Option<(&Line, Duration)>) -> Line {
    let status = seen.status.as_ref().ok();
    let leads = view.leader().is_some_and(|leader| leader.member.id == seen.member.id);
    let role = match (status, seen.member.is_learner) {
        (None, _) => "away",
        (Some(_), true) => "learner",
        (Some(_), false) if leads => "leader",
        (Some(_), false) => "follower",
    };
    Line {
        name: seen.name(),
        id: seen.id(),
        role,
        version: status.map(|status| status.version.clone()),
        term: status.map(|status| status.raft_term),
        applied_index: status.map(|status| status.raft_applied_index),
        lag: status.map(|status| newest.saturating_sub(status.raft_applied_index)),
        applied_per_second: earlier.and_then(|(before, elapsed)| {
            let since = status?.raft_applied_index.saturating_sub(before.applied_index?);
            Some(rate(since, elapsed))
        }),
        answer_microseconds: if status.is_some() { answer_time(client, seen).await } else { None },
        database_bytes: status.map(|status| status.db_size),
        database_bytes_in_use: status.map(|status| status.db_size_in_use),
        quota_bytes: status.map(|status| status.db_size_quota),
        alarms: view.alarms.iter().filter(|(id, _)| *id == seen.member.id).map(|(_, alarm)| alarm.clone()).collect(),
        error: seen.status.as_ref().err().cloned(),
    }
}

/// Of a question on a connection that is there already.
async fn answer_time(client: &Client, seen: &Seen) -> Option<u64> {
    let own = client.at(seen.endpoint.as_deref()?).ok()?;
    own.session().await.ok()?;
    let at = Instant::now();
    own.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await.ok()?;
    u64::try_from(at.elapsed().as_micros()).ok()
}

impl Picture {
    fn text(&self) -> String {
        let per_second = self.revisions_per_second.map_or_else(String::new, |rate| format!(" (+{rate}/s)"));
        let head = format!(
            "Cluster {}  {}  leader {}  {} voters, {} may fail  revision {}{per_second}  {}\n\n",
            self.cluster_id,
            if self.healthy { "healthy" } else { "NOT HEALTHY" },
            self.leader.as_deref().unwrap_or("none"),
            self.voters,
            self.tolerated,
            self.revision,
            self.taken_at
        );
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let number = |value: Option<u64>| or_dash(value.map(|value| value.to_string()));
        let bytes = |value: Option<i64>| or_dash(value.map(|bytes| size(u64::try_from(bytes).unwrap_or(0))));
        let row = |line: &Line| {
            let full = line.database_bytes.zip(line.quota_bytes).and_then(|(bytes, quota)| (bytes * 100).checked_div(quota));
            vec![
                line.name.clone(),
                line.role.to_owned(),
                or_dash(line.version.clone()),
                number(line.term),
                number(line.applied_index),
                number(line.applied_per_second),
                number(line.lag),
                or_dash(line.answer_microseconds.map(|micros| format!("{}.{} ms", micros / 1000, micros % 1000 / 100))),
                bytes(line.database_bytes),
                bytes(line.database_bytes_in_use),
                or_dash(full.map(|share| format!("{share}%"))),
                line.alarms.iter().chain(&line.error).cloned().collect::<Vec<_>>().join(" "),
            ]
        };
        let columns = ["NAME", "ROLE", "VERSION", "TERM", "APPLIED", "APPLIED/S", "LAG", "ANSWERS IN", "SIZE", "IN USE", "QUOTA", ""];
        head + &table(&columns, &self.members.iter().map(row).collect::<Vec<_>>())
    }
}
