//! Tasks that are waited for together.

use tokio::sync::mpsc;

/// Knows whether any of its tasks still runs, by the senders that they hold.
pub(crate) struct Tasks {
    alive: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl Default for Tasks {
    fn default() -> Self {
        let (alive, ended) = mpsc::channel(1);
        Self { alive, ended }
    }
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive.clone();
        tokio::spawn(async move {
            task.await;
            drop(alive);
        });
    }

    /// Returns when every task has ended.
    pub(crate) async fn finish(mut self) {
        drop(self.alive);
        while self.ended.recv().await.is_some() {}
    }
}
