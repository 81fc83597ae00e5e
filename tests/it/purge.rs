//! The purge: what it deletes, what it never does, and that it is told.

use std::time::Duration;

use daypass::{
    app::App,
    db::Engine,
    maintenance::{self, Manner, job::Job},
};
use entity::maintenance_run::{Model as Run, Outcome, Trigger};
use serde_json::json;

use crate::support::{Service, days, rows::a_token, seconds};

async fn purge(service: &Service) -> Run {
    run(&service.app, Job::Purge).await
}

async fn run(app: &App, job: Job) -> Run {
    maintenance::run(app, job, Trigger::Cli, Manner::default(), &mut ()).await.unwrap()
}

async fn tokens(service: &Service, admin: &str) -> usize {
    service.get("/v1/tokens?kind=api&limit=200", Some(admin)).await.member("items").as_array().unwrap().len()
}

/// An administrator whose session outlives the test.
async fn start(retention: Duration) -> (Service, String) {
    let service = Service::with(|config| {
        config.maintenance.retain_expired = retention;
        config.maintenance.retain_revoked = retention;
        config.tokens.session.ttl = days(29);
    })
    .await;
    let admin = service.admin().await;
    (service, admin)
}

#[tokio::test]
async fn an_expired_token_goes_once_its_retention_is_over_and_not_before() {
    let (service, admin) = start(days(1)).await;
    let token = service.issue(&admin, json!({ "ttl": 60 })).await;
    for (offset, deleted) in [(-1, 0), (0, 0), (1, 1)] {
        service.set_to(&token.member("expires_at"), 86_400_000 + offset);
        let run = purge(&service).await;
        assert_eq!(
            (run.outcome, run.deleted_expired, run.deleted_revoked),
            (Some(Outcome::Done), deleted, 0),
            "{offset}"
        );
    }
    assert_eq!(tokens(&service, &admin).await, 0);
}

#[tokio::test]
async fn a_revoked_token_goes_once_its_retention_is_over_and_not_before() {
    let (service, admin) = start(days(1)).await;
    let id = service.issue(&admin, json!({})).await.text_of("id");
    service.advance(seconds(5));
    service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await.is(204);
    let revoked_at = service.get(&format!("/v1/tokens/{id}"), Some(&admin)).await.member("revoked_at");
    for (offset, deleted) in [(-1, 0), (0, 0), (1, 1)] {
        service.set_to(&revoked_at, 86_400_000 + offset);
        assert_eq!(purge(&service).await.deleted_revoked, deleted, "{offset}");
    }
}

#[tokio::test]
async fn what_works_is_never_deleted_even_without_retention() {
    let (service, admin) = start(Duration::ZERO).await;
    let fixed = service.issue(&admin, json!({ "ttl": 600 })).await;
    let sliding = service.issue(&admin, json!({ "idle_timeout": 300 })).await;
    for token in [&sliding, &fixed] {
        let end = token.member("expires_at");
        service.set_to(&end, if token.text_of("limited_by") == "ttl" { -1 } else { 59_999 });
        assert_eq!(purge(&service).await.deleted_expired, 0);
        // Looked at without using it, which would move its end.
        let path = format!("/v1/tokens/{}", token.text_of("id"));
        assert_eq!(service.get(&path, Some(&admin)).await.member("state"), "active");
        service.delete(&path, Some(&admin)).await.is(204);
    }
}

#[tokio::test]
async fn what_changed_within_a_minute_stays_whatever_the_retention() {
    let (service, admin) = start(Duration::ZERO).await;
    let id = service.issue(&admin, json!({})).await.text_of("id");
    service.advance(days(1));
    service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await.is(204);
    service.advance_ms(60_000);
    assert_eq!(purge(&service).await.deleted_revoked, 0);
    service.advance_ms(1);
    assert_eq!(purge(&service).await.deleted_revoked, 1);
}

#[tokio::test]
async fn it_drains_in_batches_and_stops_at_its_time_limit() {
    let service = Service::with(|config| {
        config.maintenance.batch_size = 10;
        config.tokens.session.ttl = days(29);
    })
    .await;
    let admin = service.admin().await;
    service.advance(seconds(1));
    for _ in 0..25 {
        service.issue(&admin, json!({ "ttl": 1 })).await.is(201);
    }
    let kept = service.issue(&admin, json!({ "name": "kept" })).await;
    service.advance(days(2));

    let mut config = service.app.config.clone();
    config.maintenance.max_run = Duration::ZERO;
    let hurried = daypass::app::App::open(config, service.app.clock.clone()).await.unwrap();
    let run = self::run(&hurried, Job::Purge).await;
    // On SQLite the one that is kept may lie among the ten, as all were made in one millisecond.
    let among = i64::from(service.app.db.engine() == Engine::Sqlite);
    let deleted = run.deleted_expired;
    assert!((10 - among..=10).contains(&deleted), "{deleted}");
    assert_eq!((run.outcome, run.backlog), (Some(Outcome::Budget), Some(25 - deleted)));

    let run = purge(&service).await;
    assert_eq!((run.outcome, run.deleted_expired, run.backlog), (Some(Outcome::Done), 25 - deleted, Some(0)));
    if service.app.db.engine() != Engine::Sqlite {
        assert_eq!(run.batches, 5, "10 and 5 expired, looks for revoked ones, users and clients");
    }
    service.check(&kept.token()).await.is(200);
}

#[tokio::test]
async fn it_stops_between_batches_when_asked_to() {
    let (service, admin) = start(Duration::ZERO).await;
    service.issue(&admin, json!({ "ttl": 1 })).await.is(201);
    service.advance(days(1));
    service.app.maintenance.stop().await;
    let run = purge(&service).await;
    assert_eq!((run.outcome, run.deleted_expired), (Some(Outcome::Cancelled), 0));
}

#[tokio::test]
async fn a_deleted_users_rows_go_with_it_and_a_living_users_stay() {
    let (service, admin) = start(days(1)).await;
    service.session("alice", &[]).await;
    let users = service.get("/v1/users", Some(&admin)).await.member("items");
    let alice = users.as_array().unwrap().iter().find(|user| user["username"] == "alice").unwrap();
    let path = format!("/v1/users/{}", alice["id"].as_str().unwrap());
    service.delete(&path, Some(&admin)).await.is(204);
    let rows = async || {
        use sea_orm::{EntityTrait, PaginatorTrait};
        entity::user::Entity::find().count(service.app.db.reader()).await.unwrap()
    };
    purge(&service).await;
    assert_eq!(rows().await, 2);
    service.advance(days(2));
    purge(&service).await;
    assert_eq!(rows().await, 1);
    service.check(&admin).await.is(200);
}

async fn forced(app: &App) -> Run {
    let manner = Manner { force: true, ..Manner::default() };
    maintenance::run(app, Job::Purge, Trigger::Cli, manner, &mut ()).await.unwrap()
}

async fn ailment(service: &Service) -> String {
    let ready = service.get("/readyz", None).await.is(200).json();
    ready["parts"][3]["detail"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn a_clock_that_went_back_is_refused_unless_forced() {
    let (service, admin) = start(Duration::ZERO).await;
    service.issue(&admin, json!({ "ttl": 1 })).await.is(201);
    service.advance(days(3));
    purge(&service).await;
    service.advance_ms(-60_000);
    let run = purge(&service).await;
    assert_eq!(run.outcome, Some(Outcome::Clock));
    assert!(run.error.unwrap().contains("60000 ms behind the last run's"));
    assert!(ailment(&service).await.contains("daypass purge --force"));
    assert_eq!(forced(&service.app).await.outcome, Some(Outcome::Done));
}

#[tokio::test]
async fn after_a_forced_run_the_next_one_needs_no_force() {
    let (service, _admin) = start(days(1)).await;
    service.advance(days(1));
    purge(&service).await;
    service.advance_ms(-86_400_000);
    // Runs of the same millisecond have no order.
    for _ in 0..2 {
        assert_eq!(purge(&service).await.outcome, Some(Outcome::Clock));
        service.advance_ms(1);
    }
    assert_eq!(forced(&service.app).await.outcome, Some(Outcome::Done));
    assert_eq!(ailment(&service).await, "none");
    for _ in 0..2 {
        service.advance_ms(1);
        assert_eq!(purge(&service).await.outcome, Some(Outcome::Done));
    }
    assert_eq!(ailment(&service).await, "none");
}

#[tokio::test]
async fn a_forced_run_that_its_time_limit_ends_counts_as_well() {
    let (service, _admin) = start(days(1)).await;
    service.advance(days(1));
    purge(&service).await;
    service.advance_ms(-86_400_000);
    service.fill(600, 0).await;
    let mut config = service.app.config.clone();
    config.maintenance.max_run = Duration::ZERO;
    let hurried = daypass::app::App::open(config, service.app.clock.clone()).await.unwrap();
    let run = forced(&hurried).await;
    assert_eq!(run.outcome, Some(Outcome::Budget));
    assert_eq!(purge(&service).await.outcome, Some(Outcome::Done));
}

/// What such a run leaves carries an id from the future: it is no measure for later clocks, and goes with old ones.
#[tokio::test]
async fn a_run_that_was_refused_while_the_clock_was_ahead_refuses_none_after_it() {
    use sea_orm::EntityTrait;

    let (service, _admin) = start(days(1)).await;
    purge(&service).await;
    let ahead = service.now().plus_seconds(86_400 * 365);
    let refused = Run {
        outcome: Some(Outcome::Clock),
        error: Some("the clock is ahead".to_owned()),
        ..maintenance::history::begun(Job::Purge, "elsewhere", Trigger::Schedule, ahead)
    };
    maintenance::history::record(service.app.db.writer(), refused.clone()).await.unwrap();
    assert_eq!(ailment(&service).await, "none");
    service.advance_ms(1);
    assert_eq!(purge(&service).await.outcome, Some(Outcome::Done));
    run(&service.app, Job::History).await;
    let runs = entity::maintenance_run::Entity::find().all(service.app.db.reader()).await.unwrap();
    assert!(runs.len() == 3 && runs.iter().all(|run| run.id != refused.id), "{runs:?}");
}

#[tokio::test]
async fn counters_and_old_runs_are_swept() {
    let (service, _admin) = start(days(1)).await;
    service.post("/v1/login", None, json!({ "username": "nobody", "password": "wrong" })).await.is(401);
    run(&service.app, Job::Counters).await;
    assert_eq!(littered(&service).await, (1, 1));
    service.advance(days(31));
    // Nor is the address known any more from which the administrator logged in.
    assert_eq!(run(&service.app, Job::Counters).await.deleted_other, 2);
    assert_eq!(littered(&service).await, (0, 2));
    assert_eq!(run(&service.app, Job::History).await.deleted_other, 1);
    assert_eq!(littered(&service).await, (0, 2));
}

/// Counters of attempts that are over.
async fn litter(service: &Service, many: usize) {
    use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};

    for number in 0..many {
        let attempt =
            entity::attempt::Model { subject: format!("login-name:{number}"), count: 1, expires_at: service.now() };
        let attempt = entity::attempt::Entity::insert(attempt.into_active_model().reset_all());
        attempt.exec_without_returning(service.app.db.writer()).await.unwrap();
    }
}

/// How many counters there are, and runs.
async fn littered(service: &Service) -> (u64, u64) {
    use sea_orm::{EntityTrait, PaginatorTrait};

    let attempts = entity::attempt::Entity::find().count(service.app.db.reader()).await.unwrap();
    (attempts, entity::maintenance_run::Entity::find().count(service.app.db.reader()).await.unwrap())
}

#[tokio::test]
async fn other_jobs_go_in_batches_too_and_stop_when_asked_to() {
    struct Stop(std::sync::Arc<App>);
    impl maintenance::task::Progress for Stop {
        fn batch(&mut self, run: &Run) {
            if run.batches == 2 {
                self.0.maintenance.stop.cancel();
            }
        }
    }
    let service = Service::with(|config| config.maintenance.batch_size = 10).await;
    litter(&service, 25).await;
    let mut stop = Stop(service.app.clone());
    let run = maintenance::run(&service.app, Job::Counters, Trigger::Cli, Manner::default(), &mut stop).await.unwrap();
    assert_eq!((run.outcome, run.deleted_other, littered(&service).await.0), (Some(Outcome::Cancelled), 20, 5));
}

/// The secret that a rotation replaced is of no use once its overlap is over; the token is as it was.
#[tokio::test]
async fn replaced_secrets_are_forgotten_once_their_overlap_is_over() {
    use sea_orm::EntityTrait;

    let (service, admin) = start(days(1)).await;
    let issued = service.issue(&admin, json!({})).await;
    let path = format!("/v1/tokens/{}/rotate", issued.text_of("id"));
    let rotated = service.post(&path, Some(&admin), json!({ "overlap": 60 })).await.token();
    let id: uuid::Uuid = issued.text_of("id").parse().unwrap();
    let row = async || entity::token::Entity::find_by_id(id).one(service.app.db.reader()).await.unwrap().unwrap();
    let before = row().await;
    // Its overlap, and the minute in which others may not have seen it.
    for (millis, forgotten) in [(120_000, 0), (1, 1)] {
        service.advance_ms(millis);
        assert_eq!(run(&service.app, Job::Rotations).await.deleted_other, forgotten);
    }
    let after = row().await;
    assert!(before.previous_digest.is_some() && before.previous_expires_at.is_some());
    assert_eq!(after, entity::token::Model { previous_digest: None, previous_expires_at: None, ..before });
    service.check(&rotated).await.is(200);
    service.check(&issued.token()).await.is(401);
}

#[tokio::test]
async fn notes_of_changes_go_once_nobody_looks_for_them() {
    use sea_orm::{EntityTrait, PaginatorTrait};

    let (service, admin) = start(days(1)).await;
    let id = service.issue(&admin, json!({})).await.text_of("id");
    service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await.is(204);
    let notes = async || entity::change::Entity::find().count(service.app.db.reader()).await.unwrap();
    let before = notes().await;
    assert!(before > 0);
    assert_eq!(run(&service.app, Job::Changes).await.deleted_other, 0);
    service.advance(seconds(20 * 60));
    assert_eq!(run(&service.app, Job::Changes).await.deleted_other, i64::try_from(before).unwrap());
    assert_eq!(notes().await, 0);
}

/// On an embedded database no other clock tells: but time did not go by.
#[tokio::test]
async fn a_clock_that_jumped_ahead_of_time_is_refused_until_somebody_forces_it() {
    let (service, admin) = start(Duration::ZERO).await;
    if service.app.db.engine() != Engine::Sqlite {
        return;
    }
    service.issue(&admin, json!({ "ttl": 3600 })).await.is(201);
    purge(&service).await;
    service.app.clock.jump(3 * 86_400_000);
    let run = purge(&service).await;
    assert_eq!((run.outcome, run.deleted_expired), (Some(Outcome::Clock), 0));
    assert!(run.error.unwrap().contains("the clock went 259200000 ms further than time did"));
    assert!(ailment(&service).await.contains("daypass purge --force"));
    let elsewhere = service.replica().await;
    assert_eq!(forced(&elsewhere.app).await.outcome, Some(Outcome::Done));
    assert_eq!(purge(&service).await.outcome, Some(Outcome::Done), "it was right, somebody said");
}

/// A run may be long, and a clock may be set while it goes on.
#[tokio::test]
async fn a_clock_that_is_set_ahead_during_a_run_deletes_nothing_that_works() {
    struct Set(std::sync::Arc<App>);
    impl maintenance::task::Progress for Set {
        fn batch(&mut self, run: &Run) {
            if run.batches == 1 {
                self.0.clock.jump(3 * 86_400_000);
            }
        }
    }
    let service = Service::with(|config| config.maintenance.batch_size = 10).await;
    service.fill(25, 50).await;
    let mut set = Set(service.app.clone());
    let run = maintenance::run(&service.app, Job::Purge, Trigger::Cli, Manner::default(), &mut set).await.unwrap();
    assert_eq!((run.outcome, run.deleted_expired), (Some(Outcome::Done), 25));
}

/// By statistics of a table as it once was, a planner may take to reading all of it for each batch.
#[tokio::test]
async fn no_batch_reads_a_whole_table() {
    use daypass::db::dialect::{delete_some, tokens_of};
    use entity::{attempt, change, token};
    use maintenance::{hours, ranges, stale::Reason};
    use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, Statement, sea_query::Query};

    let service = Service::on(crate::support::database::Database::in_a_file(), |_| ()).await;
    let writer = service.app.db.writer();
    let (app, now) = (&service.app, service.now());
    let revoked = Reason::Revoked.stale(app, now);
    let delete = |stale| Query::delete().from_table(token::Entity).cond_where(stale).to_owned();
    let range = |from, to| delete(ranges::stale_within(app, now, from, to));
    let place = (now.millis() / 3_600_000 - 50, uuid::Uuid::nil());
    let notes = [change::Column::Second, change::Column::Id];
    let (subject, end) = (attempt::Column::Subject, attempt::Column::ExpiresAt);
    let deletions = [
        delete_some(Engine::Sqlite, &[token::Column::Id], revoked, token::Column::RevokedAt, 9),
        delete_some(Engine::Sqlite, &notes, change::Column::Second.lt(9).into(), change::Column::Second, 9),
        delete_some(Engine::Sqlite, &[subject], end.lt(now).into(), end, 9),
        delete(tokens_of(Engine::Sqlite, uuid::Uuid::nil())),
        delete(ranges::stale_among(app, now, &[place, place])),
        range(uuid::Uuid::nil(), Some(uuid::Uuid::max())),
        range(uuid::Uuid::nil(), None),
    ];
    let searches = [
        hours::rest_of_hour(app, now, place, 9),
        hours::later_hours(app, now, Some(place.0), 9),
        hours::later_hours(app, now, None, 9),
        DatabaseBackend::Sqlite.build(&maintenance::estimate::part(Reason::Expired, true, 0, &[now, now])),
    ];
    let deletions = deletions.iter().map(|deletion| DatabaseBackend::Sqlite.build(deletion));
    let statements: Vec<_> = deletions.chain(searches).collect();
    for rows in [1, 100] {
        service.fill(rows, rows).await;
        writer.execute_unprepared("ANALYZE").await.unwrap();
        for Statement { sql, values, .. } in &statements {
            let explain = Statement {
                sql: format!("EXPLAIN QUERY PLAN {sql}"),
                values: values.clone(),
                db_backend: DatabaseBackend::Sqlite,
            };
            let plan = writer.query_all_raw(explain).await.unwrap();
            let steps = plan.iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>();
            let small = ["SCAN place", "SCAN CONSTANT ROW", "SCAN first"];
            let reads_all = |step: &String| step.starts_with("SCAN") && !small.contains(&step.as_str());
            assert!(!steps.iter().any(reads_all), "{steps:?}: {sql}");
            assert!(!steps.iter().any(|step| step.contains("TEMP")), "it sorts what is sorted: {steps:?}: {sql}");
            let by_index = |step: &String| step.starts_with("SEARCH token USING COVERING INDEX token_expires_");
            assert!(sql.starts_with("DELETE") || steps.iter().any(by_index), "{steps:?}: {sql}");
            if !sql.contains("LIMIT") && sql.contains("revoked_at") && sql.starts_with("DELETE") {
                assert!(steps[0].starts_with("SEARCH token USING PRIMARY KEY"), "{steps:?}: {sql}");
            }
        }
    }
}

/// Much of it together and little of it, in the order of their making as in that of their end; with a user and without.
#[tokio::test]
async fn what_is_stale_goes_wherever_it_lies_and_nothing_else() {
    use entity::{Timestamp, token};
    use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};

    /// Of so many tokens made in a row one stays.
    const STAYS: [usize; 6] = [10, 1, 2, 100, 3, 1];

    let service = Service::with(|config| config.maintenance.batch_size = 40).await;
    let (db, now) = (service.app.db.writer(), service.now());
    let at = |minutes: usize| Timestamp::from_millis(now.millis() - 60_000 * i64::try_from(minutes).unwrap());
    let mut rows = Vec::new();
    for number in 0..3000 {
        let made = at(20_000 - number);
        // One in seven is stale although it was to live on, and some ended long after others that were made with them.
        let (stays, odd) = (number % STAYS[number / 500] == 0, number % 7 == 0);
        let mut row =
            a_token(if stays || odd { at(0).plus_seconds(86_400) } else { at(10_000 - number - number % 11 * 100) });
        row.id = daypass::id::new(made);
        row.revoked_at = (odd && !stays).then_some(at(3000));
        row.changed_at = row.revoked_at.unwrap_or(made);
        row.user_id = row.user_id.filter(|_| number % 5 > 0);
        rows.push(row);
    }
    let (stay, go): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.revoked_at.is_none() && row.expires_at > now);
    let (revoked, expired): (Vec<_>, Vec<_>) = go.iter().copied().partition(|row| row.revoked_at.is_some());
    assert!(stay.len() > 900 && revoked.len() > 100 && expired.len() > 1000, "{} {}", stay.len(), revoked.len());
    for rows in rows.chunks(500) {
        let rows = rows.iter().map(|row| row.clone().into_active_model().reset_all());
        token::Entity::insert_many(rows).exec_without_returning(db).await.unwrap();
    }

    let run = purge(&service).await;
    assert_eq!((run.outcome, run.backlog), (Some(Outcome::Done), Some(0)));
    let deleted = (usize::try_from(run.deleted_expired).unwrap(), usize::try_from(run.deleted_revoked).unwrap());
    assert_eq!(deleted, (expired.len(), revoked.len()));
    let mut left: Vec<_> = token::Entity::find().all(db).await.unwrap().iter().map(|row| row.id).collect();
    left.sort_unstable();
    assert_eq!(left, stay.iter().map(|row| row.id).collect::<Vec<_>>());
    if let Some(entries) = owned(&service).await {
        let theirs = stay.iter().filter_map(|row| Some((row.user_id?, row.id)));
        assert_eq!(
            theirs.filter(|entry| !entries.contains(entry)).count(),
            0,
            "a token that is there is somebody's still"
        );
        assert!(
            entries.len() < stay.len() + go.len() / 4,
            "of most that are gone the entries are gone too: {}",
            entries.len()
        );
    }
}

/// Few among many others, in the hour that is not over, and more than a batch takes.
#[tokio::test]
async fn of_what_expires_in_one_hour_goes_what_has_expired() {
    use entity::{Timestamp, token};
    use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};

    let service = Service::with(|config| {
        config.maintenance.batch_size = 10;
        config.maintenance.retain_expired = Duration::ZERO;
    })
    .await;
    let (hour, minutes) = (service.now().millis(), 60_000);
    assert_eq!(hour % 3_600_000, 0);
    service.advance(seconds(30 * 60));
    let rows = (0..800).map(|number| {
        let end = hour + if number % 8 == 0 { number * 1000 } else { 40 * minutes + number * 1000 };
        let mut row = a_token(Timestamp::from_millis(end));
        // Made in another order than that in which they end.
        row.id = daypass::id::new(Timestamp::from_millis(hour - (number * 331 % 800) * minutes));
        row.into_active_model().reset_all()
    });
    token::Entity::insert_many(rows).exec_without_returning(service.app.db.writer()).await.unwrap();
    let run = purge(&service).await;
    assert_eq!((run.outcome, run.deleted_expired), (Some(Outcome::Done), 100));
    let left = token::Entity::find().all(service.app.db.reader()).await.unwrap();
    assert_eq!(left.iter().filter(|row| row.expires_at > service.now()).count(), 700);
}

/// On `SQLite`: whose tokens are whose, of each its user's id and its own.
async fn owned(service: &Service) -> Option<std::collections::HashSet<(uuid::Uuid, uuid::Uuid)>> {
    use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

    if service.app.db.engine() != Engine::Sqlite {
        return None;
    }
    let all = Statement::from_string(DatabaseBackend::Sqlite, "SELECT user_id, id FROM token_owner");
    let rows = service.app.db.reader().query_all_raw(all).await.unwrap();
    Some(rows.iter().map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())).collect())
}

/// From that table the purge takes those that are no more.
#[tokio::test]
async fn whose_tokens_were_whose_is_forgotten_too() {
    let (service, admin) = start(Duration::ZERO).await;
    for _ in 0..30 {
        service.issue(&admin, json!({ "ttl": 1 })).await.is(201);
    }
    let kept = service.issue(&admin, json!({})).await.token();
    let Some(before) = owned(&service).await else { return };
    assert_eq!(before.len(), 32);
    service.advance(seconds(90));
    assert_eq!(purge(&service).await.deleted_expired, 30);
    assert_eq!(owned(&service).await.unwrap().len(), 2);
    service.check(&kept).await.is(200);
    assert_eq!(tokens(&service, &admin).await, 1);
}

/// A purge that was killed did not get to it: others find it by and by.
#[tokio::test]
async fn what_a_killed_purge_left_of_them_is_swept() {
    use sea_orm::ConnectionTrait;

    let (service, admin) = start(Duration::ZERO).await;
    let kept = service.issue(&admin, json!({})).await;
    let Some(before) = owned(&service).await else { return };
    let left = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) \
                INSERT INTO token_owner SELECT randomblob(16), randomblob(16) FROM n";
    service.app.db.writer().execute_unprepared(left).await.unwrap();
    assert_eq!(owned(&service).await.unwrap().len(), before.len() + 50);
    for _ in 0..4 {
        service.fill(400, 0).await;
        assert_eq!(purge(&service).await.deleted_expired, 400);
    }
    assert_eq!(owned(&service).await.unwrap(), before);
    service.check(&kept.token()).await.is(200);
}

/// Of whose tokens are whose a planner needs none, and draws the wrong conclusion.
#[tokio::test]
async fn statistics_of_whose_tokens_are_whose_are_forgotten() {
    use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

    let service = Service::on(crate::support::database::Database::in_a_file(), |_| ()).await;
    service.fill(10, 10).await;
    service.app.db.writer().execute_unprepared("ANALYZE").await.unwrap();
    let tables = async || {
        let all = Statement::from_string(
            DatabaseBackend::Sqlite,
            "SELECT tbl FROM sqlite_stat1 UNION SELECT tbl FROM sqlite_stat4 ORDER BY 1",
        );
        let rows = service.app.db.reader().query_all_raw(all).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect::<Vec<String>>()
    };
    let before = tables().await;
    assert_eq!(run(&service.app, Job::Sqlite).await.outcome, Some(Outcome::Done));
    let without: Vec<_> = before.iter().filter(|table| *table != "token_owner").cloned().collect();
    assert_eq!((tables().await, before.len()), (without.clone(), without.len() + 1));
}

/// Looks, after each batch, after how many pages of the log a commit would write it to the file.
struct Log {
    db: daypass::db::Db,
    pages: Vec<i64>,
    /// Somebody else, who writes once, and after how many batches.
    other: Option<(daypass::db::Db, usize)>,
}

impl Log {
    fn of(service: &Service) -> Self {
        Self { db: service.app.db.clone(), pages: Vec::new(), other: None }
    }
}

impl maintenance::task::Progress for Log {
    fn batch(&mut self, _: &Run) {
        use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

        let pragma = Statement::from_string(DatabaseBackend::Sqlite, "PRAGMA wal_autocheckpoint");
        let pages = async {
            if let Some((other, _)) = self.other.take_if(|(_, after)| *after == self.pages.len()) {
                let write = "INSERT INTO attempt (subject, count, expires_at) VALUES ('other', 1, 0)";
                other.writer().execute_unprepared(write).await.unwrap();
            }
            self.db.writer().query_one_raw(pragma).await.unwrap().unwrap().try_get_by_index(0).unwrap()
        };
        let pages = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(pages));
        self.pages.push(pages);
    }
}

/// While a long purge goes on, nobody's commit writes the log to the file; after it they do again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_written_to_the_file_beside_those_who_commit() {
    use entity::token;
    use sea_orm::{EntityTrait, PaginatorTrait};

    let database = crate::support::database::Database::in_a_file();
    let service = Service::on(database, |config| config.maintenance.batch_size = 10).await;
    service.fill(400, 25).await;
    let mut log = Log::of(&service);
    maintenance::run(&service.app, Job::Purge, Trigger::Api, Manner::default(), &mut log).await.unwrap();
    assert_eq!((log.pages[11], log.pages[12]), (1000, 16_000), "from the twelfth batch on");
    maintenance::task::Progress::batch(&mut log, &purge(&service).await);
    assert_eq!(log.pages.last(), Some(&1000));

    service.fill(0, 5).await;
    service.app.db.write_log().await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("without-its-log.db");
    std::fs::copy(service.app.config.database_url.trim_start_matches("sqlite://"), &copy).unwrap();
    let copy = sea_orm::Database::connect(format!("sqlite://{}", copy.display())).await.unwrap();
    assert_eq!(token::Entity::find().count(&copy).await.unwrap(), 30);
}

/// A command line does so as long as nobody else writes: then its commits do, lest another's have to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_line_leaves_no_log_to_a_server_that_writes() {
    let database = crate::support::database::Database::in_a_file();
    let service = Service::on(database, |config| config.maintenance.batch_size = 10).await;
    let server = service.replica().await;
    service.fill(400, 25).await;
    let mut log = Log::of(&service);
    log.other = Some((server.app.db.clone(), 20));
    maintenance::run(&service.app, Job::Purge, Trigger::Cli, Manner::default(), &mut log).await.unwrap();
    assert_eq!((log.pages[12], log.pages[20]), (16_000, 16_000));
    assert!(log.pages.len() > 40 && log.pages[22..].iter().all(|pages| *pages == 1000), "{:?}", log.pages);
}

#[tokio::test]
async fn a_file_gives_back_space_and_its_log_is_emptied() {
    let database = crate::support::database::Database::in_a_file();
    let service = Service::on(database, |config| config.maintenance.batch_size = 10_000).await;
    let file = service.app.config.database_url.trim_start_matches("sqlite://").to_owned();
    let size = |suffix: &str| std::fs::metadata(format!("{file}{suffix}")).map_or(0, |file| file.len());
    litter(&service, 1).await;
    // Some twenty megabytes of counters, all of them over.
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000) \
                INSERT INTO attempt SELECT 'login-name:' || hex(randomblob(50)) || i, 1, 0 FROM n";
    sea_orm::ConnectionTrait::execute_unprepared(service.app.db.writer(), many).await.unwrap();
    let before = size("");
    assert_eq!(run(&service.app, Job::Counters).await.deleted_other, 150_001);
    let run = run(&service.app, Job::Sqlite).await;
    assert_eq!(run.outcome, Some(Outcome::Done), "{run:?}");
    assert!(size("") < before / 4, "{} of {before}", size(""));
    // Writing down that the run has ended went through the log again.
    assert!(size("-wal") < 100_000, "{}", size("-wal"));
}
