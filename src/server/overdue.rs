//! Connections that hold a place and do nothing with it.
//!
//! Whoever opens a connection and sends its request a byte at a time, or never reads the answer, or stays for nothing, costs
//! the service a place that somebody else needs. A timer for each request would cost every request; so each connection notes
//! what it is doing and since which second, and once a second those are closed that have been at it for too long.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::MissedTickBehavior};

/// For so many seconds a connection may take until the head of its first request is there, TLS's handshake included.
const TO_BEGIN: u32 = 10;
/// For so many from one answer to the next request, both the reading of that answer and the head of that request included.
/// Longer than the minute for which proxies keep connections: a proxy whose connection is closed while it sends has to tell
/// its client that it failed.
const TO_GO_ON: u32 = 75;

/// What a connection is doing; it is cheap to note.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    /// In the second from which on it is overdue; [`NEVER`] while a request is being answered, which has deadlines of its own.
    overdue_from: Arc<AtomicU32>,
    now: Arc<AtomicU32>,
}

const NEVER: u32 = u32::MAX;

impl Doing {
    /// It answers a request.
    pub(super) fn answers(&self) {
        self.overdue_from.store(NEVER, Ordering::Relaxed);
    }

    /// It waits for its answer to be read, and for the next request.
    pub(super) fn waits(&self) {
        self.overdue_from.store(self.now.load(Ordering::Relaxed) + TO_GO_ON, Ordering::Relaxed);
    }
}

/// All connections that are open.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// In seconds since the start.
    now: Arc<AtomicU32>,
    next: AtomicU64,
    open: Mutex<HashMap<u64, (Doing, AbortHandle)>>,
}

impl Connections {
    /// For a connection that begins now.
    pub(super) fn begin(&self) -> Doing {
        let now = self.now.load(Ordering::Relaxed);
        Doing { overdue_from: Arc::new(AtomicU32::new(now + TO_BEGIN)), now: Arc::clone(&self.now) }
    }

    /// Closes it, by this handle, when it is overdue.
    pub(super) fn watch(&self, doing: Doing, handle: AbortHandle) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(number, (doing, handle));
    }

    /// Looks once a second, for as long as it is polled.
    pub(super) async fn keep_closing_overdue(&self) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            self.a_second_later();
        }
    }

    fn a_second_later(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.open().retain(|_, (doing, handle)| {
            if doing.overdue_from.load(Ordering::Relaxed) <= now {
                handle.abort();
            }
            !handle.is_finished()
        });
    }

    /// Closes those that are not being answered.
    pub(super) fn close_waiting(&self) {
        let open = self.open();
        let waiting = open.values().filter(|(doing, _)| doing.overdue_from.load(Ordering::Relaxed) != NEVER);
        waiting.for_each(|(_, handle)| handle.abort());
    }

    /// Closes those that are open still.
    pub(super) fn close_all(&self) {
        self.open().drain().for_each(|(_, (_, handle))| handle.abort());
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, (Doing, AbortHandle)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For how many seconds a connection stays open that does nothing after this.
    async fn seconds_open(before: impl FnOnce(&Doing)) -> u32 {
        let connections = Connections::default();
        let doing = connections.begin();
        let task = tokio::spawn(std::future::pending::<()>());
        connections.watch(doing.clone(), task.abort_handle());
        before(&doing);
        for second in 1..1000 {
            connections.a_second_later();
            tokio::task::yield_now().await;
            if task.is_finished() {
                return second;
            }
        }
        task.abort();
        u32::MAX
    }

    #[tokio::test]
    async fn who_does_nothing_is_closed_and_who_is_answered_is_not() {
        assert_eq!(seconds_open(|_| ()).await, TO_BEGIN);
        assert_eq!(seconds_open(Doing::waits).await, TO_GO_ON);
        assert_eq!(seconds_open(Doing::answers).await, u32::MAX);
    }

    #[tokio::test]
    async fn what_has_ended_is_forgotten() {
        let connections = Connections::default();
        let task = tokio::spawn(async {});
        connections.watch(connections.begin(), task.abort_handle());
        task.await.unwrap();
        connections.a_second_later();
        assert!(connections.open().is_empty());
    }
}
