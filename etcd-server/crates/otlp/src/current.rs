//! The span of the call that the running task works for.

use crate::span::{CallSpan, key_value, now};
use opentelemetry_proto::tonic::trace::v1::span::Event;

tokio::task_local! {
    static CURRENT: CallSpan;
}

pub(crate) async fn scope<T>(span: CallSpan, work: impl Future<Output = T>) -> T {
    CURRENT.scope(span, work).await
}

pub(crate) fn sync_scope<T>(span: CallSpan, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(span, work)
}

/// Returns the span of the call that the running task works for; `None` if that call is not traced.
#[must_use]
pub fn current() -> Option<CallSpan> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Adds an event to the innermost open span of the current call, if it is traced.
pub fn event(name: &'static str) {
    CURRENT
        .try_with(|span| span.event(Event { time_unix_nano: now(), name: name.to_owned(), ..Event::default() }))
        .ok();
}

/// Adds an error to the innermost open span of the current call, if it is traced. `describe` is
/// called then only.
pub fn error(describe: impl FnOnce() -> String) {
    let added = CURRENT.try_with(|span| {
        let attributes = vec![key_value("exception.type", "error"), key_value("exception.message", &*describe())];
        span.event(Event { time_unix_nano: now(), name: "exception".to_owned(), attributes, ..Event::default() });
    });
    // A call that is not traced has nowhere to put it.
    added.ok();
}
