//! Many at once, in whatever order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use daypass::{
    account::users,
    config::AtLimit,
    maintenance::{self, Manner, job::Job},
    write::write,
};
use entity::maintenance_run::Trigger;
use poem::http::Method;
use serde_json::json;
use tokio::{sync::Barrier, task::JoinSet};

use crate::support::{PASSWORD, Service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_logins_cannot_pass_a_users_limit_together() {
    let service = Arc::new(
        Service::with(|config| {
            config.tokens.session.per_user_limit = 3;
            config.limits.login_failures_before_lock = 0;
            // All of them queue for one row.
            config.database.acquire_timeout = Duration::from_secs(20);
        })
        .await,
    );
    service.user("alice", &[]).await;
    let mut logins = JoinSet::new();
    for _ in 0..50 {
        let service = Arc::clone(&service);
        logins.spawn(async move { service.login("alice", json!({})).await.status.as_u16() });
    }
    let mut statuses = logins.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
}

/// By two processes, of which neither knows what the other counts; where the oldest make room, as many are left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_issues_cannot_pass_a_users_limit_together() {
    for (at_limit, issued) in [(AtLimit::Refuse, 3), (AtLimit::EvictOldest, 50)] {
        let service = Service::with(|config| {
            config.tokens.api.per_user_limit = 3;
            config.tokens.api.at_limit = at_limit;
            config.database.acquire_timeout = Duration::from_secs(20);
        });
        let service = Arc::new(service.await);
        let replica = Arc::new(service.replica().await);
        let session = service.session("alice", &[]).await;
        let mut issues = JoinSet::new();
        for number in 0..50 {
            let by = if number % 2 == 0 { &service } else { &replica };
            issues.spawn(by.sent(Method::POST, "/v1/tokens", &session, json!({})));
        }
        let answers = issues.join_all().await;
        assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status.as_u16())), "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), issued, "{at_limit:?}");
        service.look().await;
        let mut working = 0;
        for answer in answers.iter().filter(|answer| answer.status == 201) {
            working += u32::from(service.check(&answer.token()).await.status == 200);
        }
        assert_eq!(working, 3, "{at_limit:?}");
    }
}

/// Checks go on all the time, and keep being asked of the database: none that begins once a change was answered lets it in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_that_begins_after_a_change_lets_it_in() {
    let service = Arc::new(Service::start().await);
    let admin = service.admin().await;
    for round in 0..30 {
        let alice = service.session(&format!("alice{round}"), &[]).await;
        let token = service.issue(&alice, json!({})).await;
        let (user, id) = (token.member("user")["id"].as_str().unwrap().to_owned(), token.text_of("id"));
        let answered = Arc::new(AtomicBool::new(false));
        let mut checks = JoinSet::new();
        for number in 0..4 {
            let (service, answered, token) = (Arc::clone(&service), Arc::clone(&answered), token.token());
            checks.spawn(async move {
                for _ in 0..1_000 {
                    if number == 0 {
                        service.app.checker.forget_everything();
                    }
                    let late = answered.load(Ordering::SeqCst);
                    let status = service.check(&token).await.status;
                    assert!(status == 401 || !late && status == 200, "{status}");
                    if late {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        let changed = match round % 3 {
            0 => service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await,
            1 => service.post(&format!("/v1/tokens/{id}/rotate"), Some(&alice), json!({})).await,
            _ => {
                let path = format!("/v1/users/{user}");
                service.json(Method::PATCH, &path, Some(&admin), json!({ "disabled": true })).await
            }
        };
        answered.store(true, Ordering::SeqCst);
        assert!(changed.status.is_success(), "{changed:?}");
        checks.join_all().await;
    }
}

/// A token is renewed and rotated, and its use written, while it is revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_beside_it_a_revocation_holds() {
    let service = Arc::new(Service::start().await);
    let admin = service.admin().await;
    for _ in 0..20 {
        let token = service.issue(&admin, json!({ "idle_timeout": 60 })).await;
        let id = token.text_of("id");
        service.advance_ms(30_000);
        service.check(&token.token()).await.is(200);
        let mut changes = JoinSet::new();
        for what in ["renew", "rotate", "renew", "rotate"] {
            changes.spawn(service.sent(Method::POST, &format!("/v1/tokens/{id}/{what}"), &admin, json!({})));
        }
        let flushing = tokio::spawn(service.flushed());
        tokio::task::yield_now().await;
        service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await.is(204);
        flushing.await.unwrap();
        service.check(&token.token()).await.is(401);
        for answer in changes.join_all().await {
            assert!([200, 409].contains(&answer.status.as_u16()), "{answer:?}");
            if let Some(token) = answer.json().get("token").and_then(|token| token.as_str()) {
                service.check(token).await.is(401);
            }
        }
        let shown = service.get(&format!("/v1/tokens/{id}"), Some(&admin)).await;
        assert_eq!(shown.member("state"), "revoked");
    }
}

/// By their rows they have been over for long, for nothing could be written: then a purge and the writing begin at once. Each either
/// is gone or works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_beside_the_writing_of_uses_deletes_what_it_tells_and_no_more() {
    let service = Service::with(|config| {
        config.maintenance.retain_expired = Duration::ZERO;
        config.maintenance.batch_size = 10;
        config.tokens.session.ttl = crate::support::days(29);
    });
    let service = Arc::new(service.await);
    let admin = service.admin().await;
    for _ in 0..5 {
        let mut tokens = Vec::new();
        for _ in 0..40 {
            tokens.push(service.issue(&admin, json!({ "idle_timeout": 60 })).await.token());
        }
        service.flush().await;
        for _ in 0..5 {
            service.advance_ms(30_000);
            for token in &tokens {
                service.check(token).await.is(200);
            }
        }
        let flushing = tokio::spawn(service.flushed());
        let run =
            maintenance::run(&service.app, Job::Purge, Trigger::Schedule, Manner::default(), &mut ()).await.unwrap();
        flushing.await.unwrap();
        service.app.checker.forget_everything();
        let mut gone = 0;
        for token in &tokens {
            gone += i64::from(service.check(token).await.status == 401);
        }
        assert_eq!(run.deleted_expired, gone);
        service.advance(crate::support::days(1));
        maintenance::run(&service.app, Job::Purge, Trigger::Schedule, Manner::default(), &mut ()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_guesses_are_counted_one_by_one() {
    let service = Arc::new(Service::start().await);
    service.user("alice", &[]).await;
    let mut logins = JoinSet::new();
    for _ in 0..20 {
        let service = Arc::clone(&service);
        logins.spawn(async move { service.login("alice", json!({ "password": "wrong" })).await.status.as_u16() });
    }
    let statuses = logins.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 15, "{statuses:?}");
}

/// Whatever a login that began before a new password answered, no token of its making works after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_does_not_slip_past_a_new_password() {
    let service = Arc::new(Service::with(|config| config.limits.login_failures_before_lock = 0).await);
    let session = service.session("alice", &[]).await;
    let mut logins = JoinSet::new();
    for _ in 0..8 {
        let service = Arc::clone(&service);
        logins.spawn(async move { service.login("alice", json!({})).await });
    }
    let change = json!({ "current_password": PASSWORD, "new_password": "another fine long phrase" });
    service.json(Method::PUT, "/v1/me/password", Some(&session), change).await.is(204);
    for answer in logins.join_all().await {
        if answer.status == 200 {
            service.check(&answer.token()).await.is(401);
        } else {
            answer.is(401);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_rotations_exactly_the_last_secret_works() {
    let service = Arc::new(Service::start().await);
    let session = service.session("alice", &[]).await;
    let id = service.issue(&session, json!({})).await.text_of("id");
    let mut rotations = JoinSet::new();
    for _ in 0..8 {
        rotations.spawn(service.sent(Method::POST, &format!("/v1/tokens/{id}/rotate"), &session, json!({})));
    }
    let mut working = 0;
    for rotated in rotations.join_all().await {
        working += u32::from(service.check(&rotated.token()).await.status == 200);
    }
    assert_eq!(working, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_may_make_the_schema_at_once() {
    let service = Service::start().await;
    daypass::db::migrate::down(&service.app.db, 99).await.unwrap();
    let replica = service.replica().await;
    let (one, two) = tokio::join!(daypass::db::migrate::up(&service.app.db), daypass::db::migrate::up(&replica.app.db));
    one.unwrap();
    two.unwrap();
    service.session("alice", &[]).await;
}

/// A renewal waits for a row that somebody else holds, and meanwhile the token expires and its user is disabled.
#[tokio::test]
async fn a_renewal_that_had_to_wait_does_not_revive_what_was_ended() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let alice = service.session("alice", &[]).await;
    let token = service.issue(&alice, json!({ "ttl": 60 })).await;
    let user = token.member("user")["id"].as_str().unwrap().to_owned();
    service.set_to(&token.member("expires_at"), 0);
    let disabled = json!({ "disabled": true });
    service.json(Method::PATCH, &format!("/v1/users/{user}"), Some(&admin), disabled).await.is(200);
    // By a clock that is a second behind, the token has not expired yet.
    service.advance_ms(-1_000);
    let id = token.text_of("id").parse().unwrap();
    let renewed = daypass::token::renew::renew(
        &service.app,
        id,
        entity::Scopes::default(),
        None,
        &daypass::audit::Actor::system(),
    )
    .await;
    assert!(matches!(renewed, Err(daypass::error::Error::Conflict(_))), "{renewed:?}");
    service.check(&token.token()).await.is(401);
}

/// Who rotates the token they present must still hold it when their turn comes: else two would be told they have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_rotations_of_the_presented_token_one_succeeds() {
    let service = Arc::new(Service::start().await);
    let session = service.session("alice", &[]).await;
    let mut rotations = JoinSet::new();
    for _ in 0..8 {
        rotations.spawn(service.sent(Method::POST, "/v1/tokens/current/rotate", &session, json!({})));
    }
    let (rotated, refused): (Vec<_>, Vec<_>) =
        rotations.join_all().await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(rotated.len(), 1);
    service.check(&rotated[0].token()).await.is(200);
    assert!(refused.iter().all(|answer| [401, 409].contains(&answer.status.as_u16())), "{refused:?}");
}

/// Whatever was minted beside a "log out everywhere" is gone with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_issued_past_a_log_out_everywhere() {
    let service = Arc::new(Service::with(|config| config.limits.login_failures_before_lock = 0).await);
    service.user("alice", &[]).await;
    for _ in 0..5 {
        let session = service.login("alice", json!({})).await.token();
        let mut issues = JoinSet::new();
        for _ in 0..10 {
            issues.spawn(service.sent(Method::POST, "/v1/tokens", &session, json!({})));
        }
        tokio::task::yield_now().await;
        service.post("/v1/logout-all?kinds=session,api", Some(&session), json!({})).await.is(200);
        for answer in issues.join_all().await {
            if answer.status == 201 {
                service.check(&answer.token()).await.is(401);
            } else {
                answer.is(401);
            }
        }
    }
}

/// Two changes that wait for each other in a circle: the database ends one of them, which is then made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_nobodys_failure() {
    let service = Service::start().await;
    let mut users = Vec::new();
    for name in ["alice", "bob"] {
        service.user(name, &[]).await;
        users.push(users::find_by_name(service.app.db.reader(), name).await.unwrap().unwrap().id);
    }
    let begun = Arc::new(AtomicUsize::new(0));
    let has_row_locks = !service.has_one_writer();
    let both = Arc::new(Barrier::new(2));
    let mut changes = JoinSet::new();
    for turn in 0..2 {
        let (first, second) = (users[turn], users[1 - turn]);
        let (app, begun, both) = (Arc::clone(&service.app), Arc::clone(&begun), Arc::clone(&both));
        changes.spawn(async move {
            write(&app, &daypass::audit::Actor::system(), move |write| {
                Box::pin(async move {
                    let mut row = users::lock(write, first).await?;
                    if begun.fetch_add(1, Ordering::Relaxed) < 2 && has_row_locks {
                        both.wait().await;
                    }
                    users::lock(write, second).await?;
                    row.epoch += 1;
                    Ok(users::save(write.txn(), row).await?)
                })
            })
            .await
        });
    }
    for result in changes.join_all().await {
        result.unwrap();
    }
    let tries = begun.load(Ordering::Relaxed);
    if has_row_locks {
        // The one that is tried again may be first to lock its row once more, before the other is woken up.
        assert!(tries > 2, "one of the two is tried again");
    } else {
        assert_eq!(tries, 2, "there is one writer at a time");
    }
    for user in users {
        assert_eq!(users::find(service.app.db.reader(), user).await.unwrap().epoch, 1, "each change was made once");
    }
}
