//! What a member does by itself, beside answering: some of it only while it leads.

mod auto_compaction;
mod lease_expiry;
mod publish;

use config::Settings;
use engine::Engine;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics::Metrics;
use tokio::signal::unix::Signal;
use tokio::task::JoinHandle;

/// Starts all duties; each ends when the process does.
pub(crate) fn start(engine: &Arc<Engine>, settings: &Settings, metrics: &Arc<Metrics>) -> Vec<JoinHandle<()>> {
    let mut duties = vec![
        tokio::spawn(lease_expiry::run(Arc::clone(engine), Arc::clone(metrics))),
        tokio::spawn(publish::run(Arc::clone(engine), publish::Attributes::of(settings))),
    ];
    duties.extend(auto_compaction::start(engine, &settings.auto_compaction));
    duties
}

/// Waits until a leader is known, this member has published itself and replayed its log, or somebody wants the process to end.
pub(crate) async fn wait_for_leader(engine: &Engine, terminate: &mut Signal, interrupt: &mut Signal) {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    let ready = async {
        loop {
            look.tick().await;
            let published = engine.published();
            let known = published.members().cluster_version().is_some();
            let named = published.members().member(engine.member_id()).is_some_and(membership::Member::is_started);
            // What was acknowledged before the last end must be readable, also by those who do not ask for linearizable reads.
            if published.standing().leader != 0 && known && named && engine.barrier().await.is_ok() {
                return;
            }
        }
    };
    tokio::select! {
        () = ready => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
