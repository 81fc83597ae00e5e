//! One runner at a time, of all replicas: who takes a job's lease, who gets it when its holder is dead, and what a runner may do
//! that lost it.

use daypass::db::Engine;
use daypass::maintenance::{
    self, Manner, history,
    job::Job,
    lease::{self, Lease, Taken},
    state::NotStarted,
    task::Progress,
};
use entity::{
    Timestamp, maintenance_job, maintenance_run,
    maintenance_run::{Model as Run, Outcome, Trigger},
    token,
};
use futures_util::future::join_all;
use sea_orm::{EntityTrait, PaginatorTrait, sea_query::Expr};

use crate::support::Service;

const PURGE: Job = Job::Purge;

fn begun(service: &Service) -> Run {
    history::begun(PURGE, &service.app.replica, Trigger::Schedule, service.now())
}

async fn take(service: &Service, run: &Run, tick: Option<Timestamp>) -> Taken {
    lease::take(&service.app.db, PURGE, run, tick).await.unwrap()
}

async fn held(service: &Service, run: &Run) -> Lease {
    match take(service, run, None).await {
        Taken::Held(lease, _) => lease,
        other @ (Taken::Running(_) | Taken::Served) => panic!("{other:?}"),
    }
}

async fn run(service: &Service, tick: Option<Timestamp>) -> Result<Run, NotStarted> {
    let manner = Manner { tick, ..Manner::default() };
    maintenance::run(&service.app, PURGE, Trigger::Schedule, manner, &mut ()).await
}

/// As if its time were over.
async fn let_it_end(service: &Service) {
    let_it_last(service, Timestamp::from_millis(0)).await;
}

async fn let_it_last(service: &Service, until: Timestamp) {
    let change = maintenance_job::Entity::update_many()
        .col_expr(maintenance_job::Column::LeaseExpiresAt, Expr::value(until))
        .exec(service.app.db.writer());
    assert_eq!(change.await.unwrap().rows_affected, 1);
}

async fn tokens(service: &Service) -> u64 {
    token::Entity::find().count(service.app.db.reader()).await.unwrap()
}

#[tokio::test]
async fn of_many_who_try_at_once_one_gets_it_the_first_time_and_any_other() {
    let service = Service::start().await;
    let other = service.replica().await;
    for _ in 0..3 {
        let runs: Vec<_> = (0..8).map(|at| begun(if at % 2 == 0 { &service } else { &other })).collect();
        let all = runs.iter().enumerate().map(|(at, run)| take(if at % 2 == 0 { &service } else { &other }, run, None));
        let taken: Vec<_> = join_all(all).await;
        let mut holders = taken.into_iter().zip(&runs).filter_map(|(taken, run)| match taken {
            Taken::Held(lease, None) => Some((lease, run)),
            Taken::Held(_, Some(dead)) => panic!("{dead} is not dead"),
            Taken::Running(_) => None,
            Taken::Served => panic!("it serves no time of the schedule"),
        });
        let (lease, run) = holders.next().unwrap();
        assert!(holders.next().is_none());
        lease.release(&service.app.db, run).await.unwrap();
    }
}

#[tokio::test]
async fn each_time_of_the_schedule_is_served_once_by_all_replicas() {
    let (service, tick) = (Service::start().await, Timestamp::from_millis(1_795_510_800_000));
    let other = service.replica().await;
    assert_eq!(run(&service, Some(tick)).await.unwrap().outcome, Some(Outcome::Done));
    for replica in [&service, &other] {
        assert!(matches!(run(replica, Some(tick)).await, Err(NotStarted::Served)));
        assert!(matches!(run(replica, Some(tick.plus_seconds(-300))).await, Err(NotStarted::Served)));
    }
    run(&other, None).await.unwrap();
    assert_eq!(run(&other, Some(tick.plus_seconds(300))).await.unwrap().replica, "replica/2");
    assert!(matches!(run(&service, Some(tick.plus_seconds(300))).await, Err(NotStarted::Served)));
}

#[tokio::test]
async fn a_dead_runner_is_taken_over_once_its_lease_ends_and_its_run_is_closed() {
    let service = Service::start().await;
    let other = service.replica().await;
    let (dead, tick) = (begun(&service), service.now());
    history::record(service.app.db.writer(), dead.clone()).await.unwrap();
    assert!(matches!(take(&service, &dead, Some(tick)).await, Taken::Held(_, None)));
    match run(&other, None).await {
        Err(NotStarted::Running(row)) => {
            assert_eq!((row.holder, row.run_id), (service.app.replica.clone(), Some(dead.id)));
        }
        other => panic!("{other:?}"),
    }
    let_it_end(&service).await;
    let taken_over = run(&other, Some(tick)).await.unwrap();
    assert_eq!(
        taken_over.outcome,
        Some(Outcome::Done),
        "the time of the schedule that the dead served is served again"
    );
    let closed = history::find(service.app.db.reader(), dead.id).await.unwrap();
    assert_eq!((closed.outcome, closed.finished_at), (Some(Outcome::LostLease), Some(service.now())));
    assert!(closed.error.unwrap().contains("found by replica/2"));
    assert!(matches!(run(&service, Some(tick)).await, Err(NotStarted::Served)));
}

#[tokio::test]
async fn a_lease_that_was_lost_is_not_renewed_and_nothing_is_written_beside_it() {
    let service = Service::start().await;
    let old_run = begun(&service);
    let mut old = held(&service, &old_run).await;
    assert!(old.renew(service.app.db.writer()).await.unwrap());
    let_it_end(&service).await;
    assert!(old.renew(service.app.db.writer()).await.unwrap(), "late, but nobody took it");
    let_it_end(&service).await;
    let new_run = begun(&service);
    let new = held(&service, &new_run).await;

    assert!(!old.renew(service.app.db.writer()).await.unwrap());
    let finished = Run { outcome: Some(Outcome::Done), finished_at: Some(service.now()), ..old_run };
    old.position = Some("nowhere".to_owned());
    old.release(&service.app.db, &finished).await.unwrap();
    let row = lease::of(&service.app.db, PURGE).await.unwrap().unwrap();
    assert_eq!((row.run_id, row.succeeded_at, row.position), (Some(new_run.id), None, None));
    assert!(new.renew(service.app.db.writer()).await.unwrap());
}

/// Another takes over after its first batch.
struct Thief<'a>(&'a Service);

impl Progress for Thief<'_> {
    fn batch(&mut self, run: &Run) {
        if run.batches != 1 {
            return;
        }
        let steal = async {
            let_it_end(self.0).await;
            held(self.0, &begun(self.0)).await;
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(steal));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_lost_its_lease_deletes_no_further_batch_and_says_so() {
    let service = Service::with(|config| config.maintenance.batch_size = 10).await;
    service.fill(35, 0).await;
    let other = service.replica().await;
    let mut thief = Thief(&other);
    let manner = Manner::default();
    let lost = maintenance::run(&service.app, PURGE, Trigger::Schedule, manner, &mut thief).await.unwrap();
    assert_eq!((lost.outcome, lost.deleted_expired, tokens(&service).await), (Some(Outcome::LostLease), 10, 25));
    let told = maintenance_run::Entity::find_by_id(lost.id).one(service.app.db.reader()).await.unwrap().unwrap();
    assert_eq!(told.outcome, Some(Outcome::LostLease));
    let row = lease::of(&service.app.db, PURGE).await.unwrap().unwrap();
    assert!(row.run_id.is_some() && row.succeeded_at.is_none(), "the thief holds it still: {row:?}");
}

/// A replica whose clock is days ahead is refused, and what it noted keeps nobody from their work.
#[tokio::test]
async fn a_time_of_the_schedule_that_has_not_come_yet_counts_for_nothing() {
    let service = Service::start().await;
    let mut ahead = begun(&service);
    let tomorrow = daypass::clock::Clock::System.now().plus_seconds(86_400);
    let lease = match take(&service, &ahead, Some(tomorrow)).await {
        Taken::Held(lease, None) => lease,
        other @ (Taken::Held(..) | Taken::Running(_) | Taken::Served) => panic!("{other:?}"),
    };
    ahead.outcome = Some(Outcome::Clock);
    lease.release(&service.app.db, &ahead).await.unwrap();
    let tick = service.now();
    assert_eq!(run(&service, Some(tick)).await.unwrap().outcome, Some(Outcome::Done));
    assert!(matches!(run(&service, Some(tick)).await, Err(NotStarted::Served)));
}

/// Nor does its lease, if it was killed before it could give it back: on `SQLite` that lasts by the same clock.
#[tokio::test]
async fn a_lease_that_was_taken_by_a_clock_ahead_is_not_waited_for() {
    let service = Service::start().await;
    held(&service, &begun(&service)).await;
    let now = service.app.db.now().await.unwrap();
    let_it_last(&service, now.plus_seconds(30)).await;
    assert!(matches!(run(&service, None).await, Err(NotStarted::Running(_))), "its clock may be off by as much");
    let_it_last(&service, now.plus_seconds(10 * 365 * 86_400)).await;
    assert_eq!(run(&service, None).await.unwrap().outcome, Some(Outcome::Done));
}

/// Who stops in the middle leaves that time of the schedule to the others.
#[tokio::test]
async fn a_run_that_was_cancelled_is_gone_on_with_by_another() {
    let (service, tick) = (Service::start().await, Timestamp::from_millis(1_795_510_800_000));
    let other = service.replica().await;
    service.app.maintenance.stop.cancel();
    assert_eq!(run(&service, Some(tick)).await.unwrap().outcome, Some(Outcome::Cancelled));
    assert_eq!(run(&other, Some(tick)).await.unwrap().outcome, Some(Outcome::Done));
}

/// A machine that is gone closes no connection: what it held is let go all the same.
#[tokio::test]
async fn a_transaction_that_is_never_ended_does_not_hold_up_a_take_over() {
    let service = Service::start().await;
    if service.app.db.engine() == Engine::Sqlite {
        // There it is this machine that is gone.
        return;
    }
    let held_run = begun(&service);
    let lease = held(&service, &held_run).await;
    let abandoned = service.app.db.begin().await.unwrap();
    assert!(lease.renew(&abandoned).await.unwrap());
    let began = std::time::Instant::now();
    let other = service.replica().await;
    while !matches!(lease::take(&other.app.db, PURGE, &begun(&other), None).await, Ok(Taken::Held(..))) {
        assert!(began.elapsed() < std::time::Duration::from_secs(15), "it holds it still");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    drop(abandoned);
}

#[tokio::test]
async fn a_run_that_ends_on_its_budget_is_followed_by_another_until_all_is_done() {
    let service = Service::with(|config| {
        config.maintenance.batch_size = 1;
        config.maintenance.max_run = std::time::Duration::ZERO;
    })
    .await;
    service.fill(5, 0).await;
    maintenance::start(&service.app, PURGE, Trigger::Api, &daypass::audit::Actor::system()).await.unwrap();
    service.app.maintenance.finish().await;
    assert_eq!(tokens(&service).await, 0);
    let runs = maintenance_run::Entity::find().all(service.app.db.reader()).await.unwrap();
    let ended = |outcome| runs.iter().filter(|run| run.outcome == Some(outcome)).count();
    assert!(ended(Outcome::Budget) >= 5 && ended(Outcome::Done) <= 1, "{runs:?}");
}
