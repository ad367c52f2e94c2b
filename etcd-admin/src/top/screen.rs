//! `top`: the cluster on one screen that refreshes. A picture is plain text, so that tests see the
//! same as users.

use super::args::TopArgs;
use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen, headline, role};
use crate::doctor;
use admin_client::{Client, Disk, Repeat};
use admin_ui::error::{CliError, FAILED};
use admin_ui::output::size;
use admin_ui::output::{Format, print_result, table};
use console::{Key, Term};
use proto::etcdserverpb::StatusRequest;
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One member in the picture. Values that only it knows are missing while it is away.
#[derive(Clone, Debug, Serialize)]
struct Line {
    name: String,
    id: String,
    /// `leader`, `follower`, `learner`, `candidate`, `unstarted` or `unreachable`.
    role: String,
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
    /// Free share of its disk, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_free_percent: Option<u64>,
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
    problems: Vec<doctor::Finding>,
    #[serde(skip)]
    headline: String,
    #[serde(skip)]
    at: Option<Instant>,
}

pub(crate) async fn top(context: &Context, client: &Client, args: &TopArgs) -> Result<ExitCode, CliError> {
    let terminal = Term::stdout();
    let live = !args.once && terminal.is_term() && context.format == Format::Table;
    let mut picture = look(client, None).await?;
    if !live {
        print_result(context.format, &picture, || picture.text(COLUMNS_DEFAULT))?;
        return Ok(ExitCode::SUCCESS);
    }
    let failed = |error: std::io::Error| CliError::new(FAILED, format!("draw: {error}"));
    // A thread, because a key is waited for without end. It has nothing to clean up and ends with
    // the process.
    let (tx, mut keys) = tokio::sync::mpsc::channel(1);
    let keyboard = terminal.clone();
    std::thread::spawn(move || {
        while let Ok(key) = keyboard.read_key_raw() {
            if matches!(key, Key::Char('q') | Key::Escape | Key::CtrlC) {
                // The receiver is gone when the picture has ended already.
                tx.blocking_send(()).ok();
                break;
            }
        }
    });
    terminal.hide_cursor().map_err(failed)?;
    let ended = loop {
        let drawn = terminal
            .clear_screen()
            .and_then(|()| terminal.write_str(&picture.text(usize::from(terminal.size().1))))
            .and_then(|()| terminal.write_line("\nq ends"));
        if let Err(error) = drawn {
            break Err(failed(error));
        }
        tokio::select! {
            _ = keys.recv() => break Ok(ExitCode::SUCCESS),
            () = tokio::time::sleep(args.interval) => {}
        }
        match look(client, Some(&picture)).await {
            Ok(next) => picture = next,
            // A failed request may succeed later: an unreachable cluster is a state to be shown.
            Err(failure) => {
                client.leave();
                picture.leader = None;
                picture.healthy = false;
                picture.headline = format!("Cluster {}: no member responds", picture.cluster_id);
                picture.problems.clear();
                picture.members.iter_mut().for_each(|line| {
                    line.error = Some(failure.to_string().lines().next().unwrap_or_default().to_owned())
                });
            }
        }
    };
    terminal.show_cursor().map_err(failed)?;
    ended
}

async fn look(client: &Client, before: Option<&Picture>) -> Result<Picture, CliError> {
    let view = ClusterView::survey(client).await?;
    let now = Instant::now();
    let elapsed = before.and_then(|before| before.at).map(|at| now - at);
    let newest = view.members.iter().map(Seen::applied).max().unwrap_or(0);
    let mut members = Vec::new();
    for seen in &view.members {
        let earlier = before.and_then(|before| before.members.iter().find(|line| line.id == seen.id()));
        members.push(line(client, &view, seen, newest, earlier.zip(elapsed)).await);
    }
    Ok(Picture {
        taken_at: certs::rfc3339(time::OffsetDateTime::now_utc()),
        cluster_id: format!("{:x}", view.cluster_id),
        healthy: view.is_healthy(),
        voters: view.voters().count(),
        tolerated: view.tolerance().verified,
        headline: headline(&view),
        leader: view.leader().map(Seen::name),
        revision: view.revision,
        revisions_per_second: before
            .zip(elapsed)
            .map(|(before, elapsed)| rate(u64::try_from(view.revision - before.revision).unwrap_or(0), elapsed)),
        members,
        problems: doctor::problems(&view),
        at: Some(now),
    })
}

fn rate(count: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1000) / millis
}

async fn line(
    client: &Client,
    view: &ClusterView,
    seen: &Seen,
    newest: u64,
    earlier: Option<(&Line, Duration)>,
) -> Line {
    let status = seen.status.as_ref().ok();
    Line {
        name: seen.name(),
        id: seen.id(),
        role: role(view, seen).to_owned(),
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
        disk_free_percent: seen.page().and_then(|page| page.disk.as_ref()).map(Disk::free_percent),
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

/// Columns of the screen where they are not known.
const COLUMNS_DEFAULT: usize = 80;
/// Problems that are shown below the table.
const PROBLEMS_MAX: usize = 5;

impl Picture {
    /// Returns the picture on lines of at most `columns` characters.
    fn text(&self, columns: usize) -> String {
        let rate = self.revisions_per_second.map_or_else(String::new, |rate| format!(" (+{rate}/s)"));
        let alarms: String = self
            .members
            .iter()
            .flat_map(|line| line.alarms.iter().map(move |alarm| format!("ALARM {alarm} of {}\n", line.name)))
            .collect();
        let shown = self
            .problems
            .iter()
            .take(PROBLEMS_MAX)
            .map(|problem| format!("{} {}: {}\n", problem.check, problem.subject, problem.text));
        let hidden = self.problems.len().saturating_sub(PROBLEMS_MAX);
        let more = if hidden > 0 { format!("and {hidden} more: etcd-admin doctor cluster\n") } else { String::new() };
        let problems: String = shown.collect();
        let gap = if problems.is_empty() && alarms.is_empty() { "" } else { "\n" };
        let text = format!(
            "{}{rate}\n{}\n\n{}{gap}{alarms}{problems}{more}",
            self.headline,
            self.taken_at,
            self.table(columns)
        );
        text.lines().map(|line| cut(line, columns) + "\n").collect()
    }

    /// Returns the table, without its least important columns as far as that is needed.
    fn table(&self, columns: usize) -> String {
        // Those that are left out first have the highest number.
        const COLUMNS: [(&str, u8); 11] = [
            ("NAME", 0),
            ("ROLE", 0),
            ("TERM", 4),
            ("APPLIED", 2),
            ("RATE", 3),
            ("LAG", 1),
            ("ANSWER", 5),
            ("SIZE", 6),
            ("QUOTA", 7),
            ("FREE", 8),
            ("VERSION", 9),
        ];
        let rows: Vec<Vec<String>> = self.members.iter().map(Line::cells).collect();
        (0..=9_u8)
            .rev()
            .map(|most| {
                let kept = |cells: &[String]| {
                    cells
                        .iter()
                        .zip(COLUMNS)
                        .filter(|(_, (_, rank))| *rank <= most)
                        .map(|(cell, _)| cell.clone())
                        .collect()
                };
                let head: Vec<&str> = COLUMNS.iter().filter(|(_, rank)| *rank <= most).map(|(name, _)| *name).collect();
                table(&head, &rows.iter().map(|row| kept(row)).collect::<Vec<Vec<String>>>())
            })
            .find(|table| table.lines().all(|line| line.chars().count() <= columns))
            .unwrap_or_else(|| table(&["NAME", "ROLE"], &rows.iter().map(|row| row[..2].to_vec()).collect::<Vec<_>>()))
    }
}

impl Line {
    fn cells(&self) -> Vec<String> {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let number = |value: Option<u64>| or_dash(value.map(|value| value.to_string()));
        let percent = |value: Option<u64>| or_dash(value.map(|value| format!("{value}%")));
        let bytes = |value: Option<i64>| or_dash(value.map(|bytes| size(u64::try_from(bytes).unwrap_or(0))));
        let full =
            self.database_bytes.zip(self.quota_bytes).and_then(|(bytes, quota)| (bytes * 100).checked_div(quota));
        vec![
            cut(&self.name, NAME_COLUMNS_MAX),
            self.role.clone(),
            number(self.term),
            number(self.applied_index),
            or_dash(self.applied_per_second.map(|rate| format!("{rate}/s"))),
            number(self.lag),
            or_dash(self.answer_microseconds.map(|micros| format!("{}.{} ms", micros / 1000, micros % 1000 / 100))),
            bytes(self.database_bytes),
            percent(full.and_then(|full| u64::try_from(full).ok())),
            percent(self.disk_free_percent),
            or_dash(self.version.clone()),
        ]
    }
}

/// Longest name of a member in the table.
const NAME_COLUMNS_MAX: usize = 20;

/// Returns a text of at most `columns` characters; a longer one ends with dots.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(2)).collect::<String>() + ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, applied: u64) -> Line {
        Line {
            name: name.to_owned(),
            id: "8211f1d0f64f3269".to_owned(),
            role: "unreachable".to_owned(),
            version: Some("3.7.1".to_owned()),
            term: Some(u64::from(u32::MAX)),
            applied_index: Some(applied),
            lag: Some(applied),
            applied_per_second: Some(123_456),
            answer_microseconds: Some(12_345_678),
            database_bytes: Some(1_234_567_890),
            database_bytes_in_use: Some(1_234_567_890),
            quota_bytes: Some(2 << 30),
            disk_free_percent: Some(42),
            alarms: vec!["NOSPACE".to_owned()],
            error: Some("TCP: Connection refused ".repeat(20)),
        }
    }

    #[test]
    fn no_line_is_longer_than_the_screen() {
        for name in ["a", "etcd1", "a-name-of-a-member-that-is-much-too-long-for-any-table.example.org"] {
            for applied in [0, 57, u64::MAX] {
                let members = vec![line(name, applied), line("m2", 1)];
                let problems = vec![doctor::Finding::bad("member", name, "not reached ".repeat(30), ""); 7];
                let picture = Picture {
                    taken_at: "2026-11-22T06:20:01Z".to_owned(),
                    cluster_id: "a8c48912cf65ac2e".to_owned(),
                    healthy: false,
                    voters: 3,
                    tolerated: 0,
                    leader: None,
                    revision: i64::MAX,
                    revisions_per_second: Some(9),
                    members,
                    problems,
                    headline: "Cluster a8c48912cf65ac2e: NO LEADER. ".repeat(4),
                    at: None,
                };
                for columns in [40, 80, 132] {
                    let text = picture.text(columns);
                    assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}:\n{text}");
                    assert!(text.contains("and 2 more: etcd-admin doctor") && text.contains("ROLE"), "{text}");
                }
            }
        }
    }
}
