//! What checks remember: how little they ask the database, and how soon a change is seen all the same.

use std::{sync::Arc, time::Duration};

use daypass::{
    maintenance::{self, Manner, job::Job},
    token::{HeldRef, changes, check},
};
use entity::{Scopes, change, maintenance_run::Trigger, token};
use poem::http::Method;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, TransactionTrait,
    sea_query::Expr,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Answer, Service, days, seconds};

/// Changes a token's row behind the service's back, without a word to anybody: whoever answers from memory cannot know.
async fn revoke_in_secret(service: &Service, token: &Answer) {
    let id: Uuid = token.text_of("id").parse().unwrap();
    token::Entity::update_many()
        .col_expr(token::Column::RevokedAt, Expr::value(service.now()))
        .filter(token::Column::Id.eq(id))
        .exec(service.app.db.writer())
        .await
        .unwrap();
}

async fn issued(service: &Service) -> (String, Answer) {
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({})).await;
    (admin, token)
}

#[tokio::test]
async fn a_second_check_does_not_ask_the_database() {
    let service = Service::start().await;
    let (_, token) = issued(&service).await;
    service.check(&token.token()).await.is(200);
    revoke_in_secret(&service, &token).await;
    service.check(&token.token()).await.is(200);
}

#[tokio::test]
async fn without_staleness_every_check_asks_the_database() {
    let service = Service::with(|config| config.check.max_staleness = Duration::ZERO).await;
    let (_, token) = issued(&service).await;
    service.check(&token.token()).await.is(200);
    revoke_in_secret(&service, &token).await;
    service.check(&token.token()).await.is(401);
    assert_eq!(service.app.checker.len(), 0);
}

#[tokio::test]
async fn memory_is_not_answered_from_once_the_look_at_changes_is_overdue() {
    let service = Service::start().await;
    let (_, token) = issued(&service).await;
    let checked = async || check::check(&service.app, &token.token(), service.now()).await.is_ok();
    assert!(checked().await);
    revoke_in_secret(&service, &token).await;
    service.advance(seconds(1));
    assert!(checked().await, "a second old is fresh enough");
    service.advance_ms(1);
    assert!(!checked().await, "the database was asked");
}

#[tokio::test]
async fn expiry_is_exact_on_what_is_remembered() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({ "ttl": 1 })).await;
    for (after, status) in [(0, 200), (999, 200), (1, 401), (1, 401)] {
        service.advance_ms(after);
        assert_eq!(service.check(&token.token()).await.status, status, "{after} ms later");
    }
}

/// Every way to change a token or what its user may do is seen by the next check on the same replica, which has looked at
/// nothing meanwhile.
#[tokio::test]
async fn the_replica_that_makes_a_change_sees_it_at_once() {
    type Change = fn(&str, &str) -> (Method, String, Value, bool);
    let changes: [(&str, Change); 8] = [
        ("revoke", |_, id| (Method::DELETE, format!("/v1/tokens/{id}"), json!({}), false)),
        ("log out", |_, _| (Method::POST, "/v1/logout".to_owned(), json!({}), true)),
        ("log out everywhere", |_, _| (Method::POST, "/v1/logout-all?kinds=api".to_owned(), json!({}), true)),
        ("rotate", |_, id| (Method::POST, format!("/v1/tokens/{id}/rotate"), json!({}), true)),
        ("disable", |user, _| (Method::PATCH, format!("/v1/users/{user}"), json!({ "disabled": true }), false)),
        ("fewer scopes", |user, _| (Method::PATCH, format!("/v1/users/{user}"), json!({ "scopes": [] }), false)),
        ("new password", |user, _| {
            let password = json!({ "password": "another fine long phrase" });
            (Method::PATCH, format!("/v1/users/{user}"), password, false)
        }),
        ("delete", |user, _| (Method::DELETE, format!("/v1/users/{user}"), json!({}), false)),
    ];
    let service = Service::start().await;
    let admin = service.admin().await;
    for (number, (name, change)) in changes.into_iter().enumerate() {
        let alice = service.session(&format!("alice{number}"), &["read"]).await;
        let token = service.issue(&alice, json!({ "scopes": ["read"] })).await;
        let path = "/v1/check?scope=read";
        service.get(path, Some(&token.token())).await.is(200);
        let user = token.member("user")["id"].as_str().unwrap().to_owned();
        let (method, path_of_change, body, by_itself) = change(&user, &token.text_of("id"));
        let by = if by_itself { token.token() } else { admin.clone() };
        let answer = service.json(method, &path_of_change, Some(&by), body).await;
        assert!(answer.status.is_success(), "{name}: {answer:?}");
        let status = service.get(path, Some(&token.token())).await.status.as_u16();
        assert_eq!(status, if name == "fewer scopes" { 403 } else { 401 }, "{name}");
    }
}

#[tokio::test]
async fn a_renewal_and_a_rotated_secret_are_seen_at_once() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({ "ttl": 60 })).await;
    service.check(&token.token()).await.is(200);
    let path = format!("/v1/tokens/{}", token.text_of("id"));
    service.post(&format!("{path}/renew"), Some(&admin), json!({ "ttl": 90 })).await.is(200);
    assert_eq!(service.check(&token.token()).await.member("expires_in"), 90);
    let rotated = service.post(&format!("{path}/rotate"), Some(&admin), json!({ "overlap": 5 })).await;
    service.check(&rotated.token()).await.is(200);
    service.check(&token.token()).await.is(200);
    service.advance_ms(5_000);
    service.check(&token.token()).await.is(401);
    service.check(&rotated.token()).await.is(200);
}

/// The read of a row that was working is under way when the token is revoked: what it brings must not be remembered.
#[tokio::test]
async fn a_read_that_a_revocation_overtakes_is_not_remembered() {
    let service = Service::start().await;
    let (admin, token) = issued(&service).await;
    let id: Uuid = token.text_of("id").parse().unwrap();
    service.look().await;
    // A check has its place in memory and has read the row, but has not put it there yet.
    let read = daypass::token::find(service.app.db.reader(), id).await.unwrap().unwrap();
    let place = service.app.checker.begin(id).await.expect_err("nothing is known yet");
    service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await.is(204);
    drop(place.insert(HeldRef::new(read)));
    service.check(&token.token()).await.is(401);
}

/// The same against a look that sees a change made elsewhere.
#[tokio::test]
async fn a_read_that_a_look_overtakes_is_not_remembered() {
    let service = Service::start().await;
    let (admin, token) = issued(&service).await;
    let replica = service.replica().await;
    replica.look().await;
    let id: Uuid = token.text_of("id").parse().unwrap();
    let read = daypass::token::find(replica.app.db.reader(), id).await.unwrap().unwrap();
    let place = replica.app.checker.begin(id).await.expect_err("nothing is known yet");
    service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await.is(204);
    replica.look().await;
    drop(place.insert(HeldRef::new(read)));
    replica.check(&token.token()).await.is(401);
}

#[tokio::test]
async fn another_replica_sees_a_change_with_its_next_look() {
    let service = Service::start().await;
    let (admin, token) = issued(&service).await;
    let replica = service.replica().await;
    replica.check(&token.token()).await.is(200);
    service.delete(&format!("/v1/tokens/{}", token.text_of("id")), Some(&admin)).await.is(204);
    replica.check(&token.token()).await.is(200);
    replica.look().await;
    replica.check(&token.token()).await.is(401);
}

#[tokio::test]
async fn fewer_scopes_of_a_user_are_seen_elsewhere_too() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let alice = service.session("alice", &["read"]).await;
    let replica = service.replica().await;
    let user = replica.get("/v1/me", Some(&alice)).await.member("user")["id"].as_str().unwrap().to_owned();
    replica.get("/v1/check?scope=read", Some(&alice)).await.is(200);
    service.json(Method::PATCH, &format!("/v1/users/{user}"), Some(&admin), json!({ "scopes": [] })).await.is(200);
    replica.look().await;
    replica.get("/v1/check?scope=read", Some(&alice)).await.is(403);
}

/// A transaction that was committed late, or by a replica whose clock is behind: its row turns up in a second that was
/// looked at before, and that has changed otherwise too.
#[tokio::test]
async fn a_change_that_turns_up_late_is_seen() {
    let service = Service::start().await;
    let (_, token) = issued(&service).await;
    for (number, behind) in [0, 10, 59, 74].into_iter().enumerate() {
        service.look().await;
        service.check(&token.token()).await.is(200);
        let id = token.text_of("id").parse().unwrap();
        let other = Uuid::from_u128(number as u128);
        note(&service, other, behind).await;
        service.look().await;
        assert_eq!(service.app.checker.len(), 2, "what did not change is still remembered: {behind} s behind");
        note(&service, id, behind).await;
        service.look().await;
        assert_eq!(service.app.checker.len(), 1, "{behind} s behind");
        service.advance_ms(100);
    }
}

/// A change is noted as a replica would whose clock is so many seconds behind.
async fn note(service: &Service, token_id: Uuid, behind: i64) {
    let second = service.now().millis() / 1000 - behind;
    let row = change::ActiveModel { second: Set(second), id: Set(Uuid::new_v4()), token_id: Set(token_id) };
    change::Entity::insert(row).exec_without_returning(service.app.db.writer()).await.unwrap();
}

#[tokio::test]
async fn after_a_long_silence_everything_is_forgotten() {
    let service = Service::start().await;
    let (_, token) = issued(&service).await;
    service.check(&token.token()).await.is(200);
    service.advance(seconds(5 * 60));
    service.look().await;
    assert_eq!(service.app.checker.len(), 2);
    service.advance(seconds(8 * 60));
    service.look().await;
    assert_eq!(service.app.checker.len(), 0);
}

#[tokio::test]
async fn changes_go_with_the_purge_long_after_they_were_seen() {
    let service = Service::start().await;
    let (admin, token) = issued(&service).await;
    service.delete(&format!("/v1/tokens/{}", token.text_of("id")), Some(&admin)).await.is(204);
    let count = async || change::Entity::find().count(service.app.db.reader()).await.unwrap();
    for (after, left) in [(0, 1), (15 * 60, 1), (1, 0)] {
        service.advance(seconds(after));
        maintenance::run(&service.app, Job::Changes, Trigger::Cli, Manner::default(), &mut ()).await.unwrap();
        assert_eq!(count().await, left, "{after} s later");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_confirmed_once_and_then_remembered() {
    let service = Service::start().await;
    let (admin, token) = issued(&service).await;
    let replica = service.replica().await;
    replica.check(&token.token()).await.is(200);
    // Rotated elsewhere, and not seen here yet.
    let path = format!("/v1/tokens/{}/rotate", token.text_of("id"));
    let rotated = service.post(&path, Some(&admin), json!({})).await.token();
    replica.check(&rotated).await.is(200);
    replica.check(&token.token()).await.is(401);
    // Now it is known to be wrong, and stays so without a read even if the row were to have it again.
    let digest = daypass::token::secret::digest(&token.token());
    let set = token::Entity::update_many().col_expr(token::Column::Digest, Expr::value(digest));
    set.exec(service.app.db.writer()).await.unwrap();
    replica.check(&token.token()).await.is(401);
    replica.advance_ms(1_000);
    replica.check(&token.token()).await.is(200);
}

#[tokio::test]
async fn an_unknown_token_costs_one_read_and_one_that_comes_to_be_is_seen_at_once() {
    let service = Service::start().await;
    let (_, token) = issued(&service).await;
    let row = take_away(&service, &token).await;
    service.check(&token.token()).await.is(401);
    put_back(&service, row).await;
    service.check(&token.token()).await.is(401);
    service.advance_ms(1_000);
    service.check(&token.token()).await.is(200);
    // An id of long ago can come to be only with a database that is restored: once a minute is enough.
    service.advance(days(1));
    let row = take_away(&service, &token).await;
    service.app.checker.forget_everything();
    service.check(&token.token()).await.is(401);
    put_back(&service, row).await;
    service.advance_ms(59_999);
    service.check(&token.token()).await.is(401);
    service.advance_ms(1);
    service.check(&token.token()).await.is(200);
}

async fn take_away(service: &Service, token: &Answer) -> token::Model {
    let id: Uuid = token.text_of("id").parse().unwrap();
    let row = token::Entity::find_by_id(id).one(service.app.db.reader()).await.unwrap().unwrap();
    token::Entity::delete_by_id(id).exec(service.app.db.writer()).await.unwrap();
    service.app.checker.forget(&[id]);
    row
}

async fn put_back(service: &Service, row: token::Model) {
    use sea_orm::{ActiveModelTrait, IntoActiveModel};
    let row = row.into_active_model().reset_all();
    token::Entity::insert(row).exec_without_returning(service.app.db.writer()).await.unwrap();
}

/// Many wait for the same token, which nobody has read yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_wait_a_token_is_read_once() {
    let service = Arc::new(Service::start().await);
    let (_, token) = issued(&service).await;
    service.look().await;
    let id = token.text_of("id").parse().unwrap();
    service.app.checker.forget(&[id]);
    // The read is held up until all of them wait.
    let place = service.app.checker.begin(id).await.expect_err("nothing is known yet");
    let mut checks = JoinSet::new();
    for _ in 0..50 {
        let (service, token) = (Arc::clone(&service), token.token());
        checks.spawn(async move { service.check(&token).await.status.as_u16() });
    }
    let read = daypass::token::find(service.app.db.reader(), id).await.unwrap().unwrap();
    revoke_in_secret(&service, &token).await;
    drop(place.insert(HeldRef::new(read)));
    assert!(checks.join_all().await.iter().all(|status| *status == 200), "they got what was read for them");
}

/// An idle token is used here and nowhere else for a while: another replica must not take it for expired.
#[tokio::test]
async fn a_use_on_one_replica_keeps_a_token_alive_on_another() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({ "idle_timeout": 60 })).await.token();
    let replica = service.replica().await;
    replica.check(&token).await.is(200);
    for _ in 0..6 {
        service.advance(seconds(40));
        service.check(&token).await.is(200);
        service.flush().await;
    }
    // What the replica remembers has been over for minutes; what is recorded has not.
    replica.check(&token).await.is(200);
    service.advance(seconds(75));
    replica.look().await;
    replica.check(&token).await.is(401);
}

#[tokio::test]
async fn many_uses_are_written_in_one_statement_and_survive_a_restart() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let mut tokens = Vec::new();
    for number in 0..20 {
        let wanted = if number % 2 == 0 { json!({}) } else { json!({ "idle_timeout": 120, "ttl": 150 }) };
        tokens.push(service.issue(&admin, wanted).await.token());
    }
    service.flush().await;
    service.advance(seconds(60));
    for token in &tokens {
        service.check(token).await.is(200);
    }
    service.flush().await;
    let rows = token::Entity::find().filter(token::Column::Kind.eq(daypass::token::Kind::Api));
    for row in rows.all(service.app.db.reader()).await.unwrap() {
        assert_eq!(row.last_used_at, Some(service.now()));
        let end = if row.idle_timeout.is_some() { row.created_at.plus_seconds(150) } else { row.ttl_expires_at };
        assert_eq!(row.expires_at, end, "an idle end moves on, to the ttl's at most");
    }
}

/// A use that is written late must not bring back to life what was ended meanwhile.
#[tokio::test]
async fn a_late_use_does_not_revive_what_was_ended() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({ "idle_timeout": 60 })).await;
    service.advance(seconds(30));
    service.check(&token.token()).await.is(200);
    service.delete(&format!("/v1/tokens/{}", token.text_of("id")), Some(&admin)).await.is(204);
    service.flush().await;
    let shown = service.get(&format!("/v1/tokens/{}", token.text_of("id")), Some(&admin)).await;
    assert_eq!((shown.member("state"), shown.member("last_used_at")), (json!("revoked"), Value::Null));
}

#[tokio::test]
async fn where_it_is_configured_memory_answers_while_the_database_is_away() {
    for (grace, status) in [(None, 503), (Some(seconds(10)), 200)] {
        let service = Service::with(|config| {
            config.check.stale_if_error = grace;
        })
        .await;
        let token = service.session("alice", &[Scopes::ISSUE]).await;
        service.check(&token).await.is(200);
        service.app.db.close().await;
        let checked = async || match check::check(&service.app, &token, service.now()).await {
            Ok(_) => 200,
            Err(check::Failure::Refused(_)) => 401,
            Err(check::Failure::Unanswered(_)) => 503,
        };
        assert_eq!(checked().await, 200, "it is fresh");
        service.advance_ms(1_001);
        assert!(changes::look(&service.app).await.is_err());
        assert_eq!(checked().await, status, "{grace:?}");
        service.advance(seconds(10));
        assert_eq!(checked().await, 503, "{grace:?}");
    }
}

/// Writers that share a commit: one that fails after it has written takes back its own work only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_among_writers_does_not_fail_its_neighbours() {
    let service = Arc::new(Service::start().await);
    let mut writers = JoinSet::new();
    for number in 0..60_u128 {
        let service = Arc::clone(&service);
        writers.spawn(async move {
            let by = daypass::audit::Actor::system();
            let written = daypass::write::write(&service.app, &by, move |write| {
                Box::pin(async move {
                    let (second, id) = (Set(1), Set(Uuid::from_u128(number)));
                    let row = change::ActiveModel { second, id, token_id: Set(Uuid::nil()) };
                    change::Entity::insert(row).exec_without_returning(write.txn()).await?;
                    if number % 3 == 0 { Err(daypass::error::Error::NotFound("token")) } else { Ok(()) }
                })
            });
            (number, written.await.is_ok())
        });
    }
    for (number, kept) in writers.join_all().await {
        assert_eq!(kept, number % 3 != 0, "{number}");
        let row = change::Entity::find_by_id((1, Uuid::from_u128(number))).one(service.app.db.reader()).await;
        assert_eq!(row.unwrap().is_some(), kept, "{number}");
    }
}

/// The disk is full in the middle of a commit: what is said to be written afterwards must be.
#[tokio::test]
async fn a_full_disk_leaves_nothing_open() {
    let service = Service::start().await;
    if service.app.db.engine() != daypass::db::Engine::Sqlite {
        return;
    }
    let admin = service.admin().await;
    let pragma = async |most: &str| {
        let pragma = format!("PRAGMA max_page_count = {most}");
        service.app.db.writer().execute_unprepared(&pragma).await.unwrap();
    };
    pragma("1").await;
    let name = "x".repeat(200);
    let mut refused = 0;
    for _ in 0..200 {
        refused += u32::from(service.issue(&admin, json!({ "name": name })).await.status == 503);
        service.login("nobody", json!({})).await;
    }
    assert!(refused > 0, "the disk was never full");
    pragma("1000000").await;
    for _ in 0..3 {
        service.issue(&admin, json!({ "ttl": 0 })).await.is(422);
        service.post("/v1/tokens/current/renew", Some(&admin), json!({ "ttl": 0 })).await.is(422);
    }
    let token = service.issue(&admin, json!({})).await;
    let row = token::Entity::find_by_id(token.text_of("id").parse::<Uuid>().unwrap());
    assert!(row.one(service.app.db.reader()).await.unwrap().is_some(), "others see it");
}

/// A read for the old secret is under way while the token is rotated elsewhere: who waits for it with the new secret is
/// not taken for a stranger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_secret_is_not_refused_by_what_was_read_before_it() {
    let service = Service::start().await;
    let (admin, token) = issued(&service).await;
    let replica = Arc::new(service.replica().await);
    replica.look().await;
    let id: Uuid = token.text_of("id").parse().unwrap();
    let read = daypass::token::find(replica.app.db.reader(), id).await.unwrap().unwrap();
    let place = replica.app.checker.begin(id).await.expect_err("nothing is known yet");
    let path = format!("/v1/tokens/{id}/rotate");
    let rotated = service.post(&path, Some(&admin), json!({})).await.token();
    let waiting = Arc::clone(&replica);
    let waiting = tokio::spawn(async move { waiting.check(&rotated).await.status.as_u16() });
    tokio::task::yield_now().await;
    drop(place.insert(HeldRef::new(read)));
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_defect_in_one_writer_does_not_end_the_writing() {
    let service = Service::start().await;
    let by = daypass::audit::Actor::system();
    let result = daypass::write::write(&service.app, &by, |_| Box::pin(async { panic!("a defect") }));
    let result: Result<(), _> = result.await;
    assert!(matches!(result, Err(daypass::error::Error::Internal(_))), "{result:?}");
    service.session("alice", &[]).await;
}

/// Those that wait at the same time are asked for by one statement: each still gets the answer to what it asked, and a row
/// that cannot be understood is a trouble of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_read_together_are_not_mixed_up() {
    let service = Arc::new(Service::with(|config| config.check.max_staleness = Duration::ZERO).await);
    let admin = service.admin().await;
    let mut tokens = Vec::new();
    for _ in 0..90 {
        tokens.push(service.issue(&admin, json!({})).await);
    }
    let revoked = tokens[10].text_of("id");
    service.delete(&format!("/v1/tokens/{revoked}"), Some(&admin)).await.is(204);
    take_away(&service, &tokens[20]).await;
    let unreadable: Uuid = tokens[30].text_of("id").parse().unwrap();
    token::Entity::update_many()
        .col_expr(token::Column::Digest, Expr::value(vec![7_u8; 31]))
        .filter(token::Column::Id.eq(unreadable))
        .exec(service.app.db.writer())
        .await
        .unwrap();

    let mut checks = JoinSet::new();
    for (number, token) in tokens.iter().enumerate() {
        let (service, token) = (Arc::clone(&service), token.token());
        checks.spawn(async move { (number, service.check(&token).await) });
    }
    for (number, answer) in checks.join_all().await {
        match number {
            10 | 20 => answer.is(401),
            30 => answer.is(503),
            _ => answer.is(200),
        };
        if answer.status == 200 {
            assert_eq!(answer.text_of("id"), tokens[number].text_of("id"));
        }
    }
}

/// Others look back for so long and no longer. A commit that took more time is noted once more before it is told of.
#[tokio::test]
async fn a_change_whose_commit_took_long_is_noted_again() {
    let service = Service::start().await;
    if service.app.db.engine() != daypass::db::Engine::Sqlite {
        return; // Elsewhere a writer shares its commit with nobody whom a test could make slow.
    }
    let (changed, began, clock) = (Uuid::from_u128(1), service.now(), service.app.clock.clone());
    let by = daypass::audit::Actor::system();
    let noting = daypass::write::write(&service.app, &by, move |write| {
        Box::pin(async move {
            write.changed([changed]);
            Ok(())
        })
    });
    let slow = daypass::write::write(&service.app, &by, move |_| {
        Box::pin(async move {
            clock.advance(16_000);
            Ok(())
        })
    });
    // This test's runtime has one thread, so both are in the queue before the writing begins, and share a commit.
    let (noted, written) = tokio::join!(biased; noting, slow);
    noted.and(written).unwrap();
    let found = change::Entity::find().filter(change::Column::TokenId.eq(changed)).all(service.app.db.reader()).await;
    let seconds: Vec<_> = found.unwrap().iter().map(|row| row.second - began.millis() / 1000).collect();
    assert_eq!(seconds, [0, 16]);
}

/// However many ask while the database does not answer, none of them waits behind the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_queues_for_a_database_that_does_not_answer() {
    let service = Service::with(|config| {
        config.check.max_staleness = Duration::ZERO;
        config.database.acquire_timeout = Duration::from_secs(1);
        (config.database.max_connections, config.database.sqlite_readers) = (1, 1);
    });
    let service = Arc::new(service.await);
    let (_, token) = issued(&service).await;
    let held = service.app.db.reader().connections().begin().await.unwrap();
    let mut checks = JoinSet::new();
    for _ in 0..1000 {
        let (service, token) = (Arc::clone(&service), token.token());
        checks.spawn(async move {
            let checking = check::check(&service.app, &token, service.now());
            tokio::time::timeout(Duration::from_secs(4), checking).await
        });
    }
    for answer in checks.join_all().await {
        let failure = answer.expect("an answer in time").expect_err("nothing could be read");
        assert!(matches!(failure, check::Failure::Unanswered(_)), "{failure}");
    }
    held.rollback().await.unwrap();
    service.check(&token.token()).await.is(200);
}
