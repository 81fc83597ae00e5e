//! What runs beside the answering of requests: the look at what changed elsewhere, without which nothing is answered from
//! memory, the writing of uses and of logins that failed, the watch over the database and the clock, and maintenance.

use std::{fmt, io, sync::Arc, time::Duration};

use sea_orm::DbErr;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::MissedTickBehavior,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    app::App,
    audit::failures,
    db::watch,
    error::Storage,
    maintenance::{
        sanity,
        scheduler::{self, Scheduler},
    },
    telemetry,
    token::{changes, usage},
};

/// It runs until it is stopped.
///
/// One that is dropped instead looks for no more changes and writes the uses it knows of, but nobody waits for that, and its
/// maintenance goes on until the process ends.
pub struct Background {
    app: Arc<App>,
    scheduler: Scheduler,
    tasks: JoinSet<()>,
    flushing: JoinHandle<()>,
    /// Tells `flushing` to write once more and end.
    last_flush: DropGuard,
}

impl Background {
    /// Starts it; the schema must be up to date.
    pub async fn start(app: &Arc<App>) -> io::Result<Self> {
        let scheduler = scheduler::start(app).await.map_err(io::Error::other)?;
        if let Err(error) = changes::look(app).await {
            tracing::warn!(error = %Storage::from(error), "what changed lately cannot be seen yet");
        }
        let (looking, flushed) = (Arc::clone(app), Arc::clone(app));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let flushing = tokio::spawn(async move {
            let (uses, failed) = (|| usage::flush(&flushed), || failures::flush(&flushed));
            tokio::join!(
                keep_flushing(usage::FLUSH, &stopped, uses, "uses of tokens are not recorded yet"),
                keep_flushing(failures::FLUSH, &stopped, failed, "failed logins are not on record yet"),
            );
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { changes::keep_looking(&looking).await });
        let (watched, compared) = (app.db.clone(), Arc::clone(app));
        tasks.spawn(async move { watch::keep_watching(&watched).await });
        tasks.spawn(async move { sanity::keep_comparing(&compared).await });
        tasks.spawn(telemetry::tidy());
        Ok(Self { app: Arc::clone(app), scheduler, tasks, flushing, last_flush: stop.drop_guard() })
    }

    /// Finishes the purge's batch in hand and writes the last uses and failed logins. Nothing may be asked of the service any more.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the scheduler did not stop");
        }
        self.app.maintenance.stop().await;
        self.tasks.shutdown().await;
        drop(self.last_flush);
        if let Err(error) = self.flushing.await {
            tracing::warn!(%error, "the last uses of tokens and failed logins may not be recorded");
        }
    }
}

/// Writes again and again until it is told to stop, and once more then; never is it stopped in the middle.
async fn keep_flushing<F>(every: Duration, stop: &CancellationToken, flush: impl Fn() -> F, trouble: &str)
where
    F: Future<Output = Result<(), DbErr>>,
{
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stopped = stop.run_until_cancelled(ticks.tick()).await.is_none();
        if let Err(error) = flush().await {
            tracing::warn!(error = %Storage::from(error), "{trouble}");
        }
        if stopped {
            return;
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background(..)")
    }
}
