//! Refresh tokens: traded once, in families that end together (RFC 9700 §4.14.2).

use std::time::Duration;

use daypass::{
    config::AtLimit,
    maintenance::{self, Manner, job::Job},
};
use entity::{maintenance_run::Trigger, refresh_token, token};
use poem::http::Method;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter};
use serde_json::json;

use crate::support::{PASSWORD, Service, database::Database, days, rows, seconds};

/// The grace, as it is by default.
const GRACE: Duration = Duration::from_secs(30);

async fn start() -> Service {
    let service = Service::start().await;
    service.user("alice", &["read"]).await;
    service
}

async fn maintain(service: &Service) {
    for job in [Job::Purge, Job::Rotations] {
        maintenance::run(&service.app, job, Trigger::Cli, Manner { force: true, ..Manner::default() }, &mut ())
            .await
            .unwrap();
    }
}

async fn on_record(service: &Service) -> u64 {
    refresh_token::Entity::find().count(service.app.db.reader()).await.unwrap()
}

#[tokio::test]
async fn a_trade_yields_a_session_and_the_next_refresh_token() {
    let service = start().await;
    let login = service.login("alice", json!({ "refresh": true, "name": "phone" })).await;
    let (first, session) = (login.text_of("refresh_token"), login.token());
    service.advance(seconds(60));
    let (access, second) = service.traded(&first).await;
    assert!(access.starts_with("dps_") && second.starts_with("dpr_") && first != second);
    let checked = service.check(&access).await;
    assert_eq!((checked.is(200).member("name"), checked.member("kind")), (json!("phone"), json!("session")));
    assert_eq!((checked.member("scopes"), checked.member("client_id")), (json!(["read"]), json!(null)));
    service.check(&session).await.is(200);
    let (_, third) = service.traded(&second).await;
    let listed = service.get("/v1/tokens?kind=refresh&state=active", Some(&access)).await.member("items");
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["hint"], third[60..]);
    assert_eq!(listed[0]["max_expires_at"], "2027-02-22T09:00:00.000Z", "90 days from the login, whatever comes after");
    assert_eq!(listed[0]["expires_at"], "2026-12-24T09:01:00.000Z");
}

#[tokio::test]
async fn a_refresh_token_opens_nothing_itself() {
    let service = start().await;
    let (_, refresh) = service.login_with_refresh("alice").await;
    for path in ["/v1/check", "/v1/me", "/v1/tokens", "/api/protected/"] {
        service.get(path, Some(&refresh)).await.is(401);
    }
    service.post("/v1/logout", Some(&refresh), json!({})).await.is(401);
    service.post("/v1/tokens/current/renew", Some(&refresh), json!({})).await.is(401);
    service.traded(&refresh).await;
}

/// What a thief took comes a second time: whoever of the two it is, nothing works any longer.
#[tokio::test]
async fn a_copy_ends_the_family() {
    let service = start().await;
    let (session, first) = service.login_with_refresh("alice").await;
    let (other_session, other) = service.login_with_refresh("alice").await;
    let (access, second) = service.traded(&first).await;
    let (later, third) = service.traded(&second).await;
    let unknown = service.refresh("dpr_0").await;
    let copied = service.refresh(&first).await;
    assert_eq!(copied.is_error(400, "invalid_grant").text, unknown.text);
    for token in [&session, &access, &later] {
        service.check(token).await.is(401);
    }
    for refresh in [&first, &second, &third] {
        service.refresh(refresh).await.is_error(400, "invalid_grant");
    }
    service.check(&other_session).await.is(200);
    service.traded(&other).await;
}

#[tokio::test]
async fn a_retry_within_the_grace_is_forgiven() {
    let service = start().await;
    let (_, first) = service.login_with_refresh("alice").await;
    let (lost_access, lost) = service.traded(&first).await;
    service.advance_ms(29_999);
    let (access, second) = service.traded(&first).await;
    // The pair that was lost is dead, though nobody used it.
    service.check(&lost_access).await.is(401);
    service.check(&access).await.is(200);
    let (access, second) = service.traded(&second).await;
    // And whoever found it gives themselves away.
    service.refresh(&lost).await.is_error(400, "invalid_grant");
    service.check(&access).await.is(401);
    service.refresh(&second).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn retries_are_forgiven_as_often_as_answers_are_lost() {
    let service = start().await;
    let (_, first) = service.login_with_refresh("alice").await;
    let mut pair = service.traded(&first).await;
    for _ in 0..5 {
        service.advance(seconds(5));
        let (before, next) = (pair.0, service.traded(&first).await);
        service.check(&before).await.is(401);
        pair = next;
    }
    service.check(&pair.0).await.is(200);
    service.traded(&pair.1).await;
}

/// Two windows of one browser trade at once, and go on with what each was given.
#[tokio::test]
async fn who_holds_the_pair_that_died_by_a_retry_may_come_again_too() {
    let service = start().await;
    let (_, first) = service.login_with_refresh("alice").await;
    let (_, lost) = service.traded(&first).await;
    let (_, kept) = service.traded(&first).await;
    let (_, again) = service.traded(&lost).await;
    let (access, newest) = service.traded(&kept).await;
    service.check(&access).await.is(200);
    service.advance(GRACE);
    service.refresh(&again).await.is_error(400, "invalid_grant");
    service.refresh(&newest).await.is_error(400, "invalid_grant");
    service.check(&access).await.is(401);
}

/// An engine takes only so many values in one statement, and whoever holds a refresh token may trade it as often as they like.
#[tokio::test]
async fn a_family_of_any_size_ends() {
    let service = Service::on(Database::in_a_file(), |_| ()).await;
    service.user("alice", &["read"]).await;
    let (session, first) = service.login_with_refresh("alice").await;
    let head = refresh_token::Entity::find().one(service.app.db.reader()).await.unwrap().unwrap();
    let (writer, end) = (service.app.db.writer(), service.now().plus_seconds(3600));
    for _ in 0..66 {
        let tokens: Vec<_> = (0..500).map(|_| rows::a_token(end)).collect();
        let members = tokens.iter().map(|token| refresh_token::Model {
            token_id: daypass::id::new(service.now()),
            access_token_id: token.id,
            ..head.clone()
        });
        let members: Vec<_> = members.map(|row| row.into_active_model().reset_all()).collect();
        refresh_token::Entity::insert_many(members).exec_without_returning(writer).await.unwrap();
        let tokens: Vec<_> = tokens.into_iter().map(|row| row.into_active_model().reset_all()).collect();
        token::Entity::insert_many(tokens).exec_without_returning(writer).await.unwrap();
    }
    service.post("/v1/logout", Some(&session), json!({})).await.is(204);
    let unrevoked = token::Entity::find().filter(token::Column::RevokedAt.is_null()).count(writer).await.unwrap();
    assert_eq!(unrevoked, 0);
    service.refresh(&first).await.is_error(400, "invalid_grant");
}

/// What it ends with must still be on record when it ends.
#[tokio::test]
async fn no_session_outlives_its_family() {
    let service = Service::with(|config| {
        config.tokens.refresh.ttl = seconds(3600);
        config.tokens.refresh.max_lifetime = seconds(7200);
    })
    .await;
    service.user("alice", &["read"]).await;
    let login = service.login("alice", json!({ "refresh": true })).await;
    let end = "2026-11-24T11:00:00.000Z";
    assert_eq!((login.member("expires_at"), login.member("max_expires_at")), (json!(end), json!(end)));
    service.advance(seconds(1800));
    let (access, _) = service.traded(&login.text_of("refresh_token")).await;
    assert_eq!(service.check(&access).await.member("max_expires_at"), end);
    let alone = service.login("alice", json!({})).await.member("max_expires_at");
    assert_eq!(alone, "2026-12-24T09:30:00.000Z", "a session without a refresh token has its own end");
}

#[tokio::test]
async fn logging_out_of_refresh_tokens_tells_how_many_worked() {
    let service = start().await;
    let (session, _) = service.login_with_refresh("alice").await;
    let answer = service.post("/v1/logout-all?kinds=refresh", Some(&session), json!({})).await;
    assert_eq!(answer.is(200).member("revoked"), 1);
    service.check(&session).await.is(401);
}

#[tokio::test]
async fn a_retry_is_none_after_the_grace() {
    let service = start().await;
    let (_, first) = service.login_with_refresh("alice").await;
    let (access, second) = service.traded(&first).await;
    service.advance(GRACE);
    service.refresh(&first).await.is_error(400, "invalid_grant");
    service.check(&access).await.is(401);
    service.refresh(&second).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn the_grace_counts_from_the_first_trade() {
    let service = start().await;
    let (_, first) = service.login_with_refresh("alice").await;
    service.traded(&first).await;
    service.advance(seconds(20));
    let (access, _) = service.traded(&first).await;
    service.advance(seconds(10));
    service.refresh(&first).await.is_error(400, "invalid_grant");
    service.check(&access).await.is(401);
}

#[tokio::test]
async fn a_retry_is_none_once_the_successor_was_used() {
    let service = start().await;
    let (_, first) = service.login_with_refresh("alice").await;
    let (_, second) = service.traded(&first).await;
    let (access, third) = service.traded(&second).await;
    service.refresh(&first).await.is_error(400, "invalid_grant");
    service.check(&access).await.is(401);
    service.refresh(&third).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn without_a_grace_nothing_is_forgiven() {
    let service = Service::with(|config| config.oauth.refresh_grace = Duration::ZERO).await;
    service.user("alice", &[]).await;
    let (_, first) = service.login_with_refresh("alice").await;
    let (access, _) = service.traded(&first).await;
    service.refresh(&first).await.is_error(400, "invalid_grant");
    service.check(&access).await.is(401);
}

/// Only the client that it is bound to is forgiven, and only it gives itself away.
#[tokio::test]
async fn another_client_neither_retries_nor_ends_a_family() {
    let service = Service::with_every_grant().await;
    let (client, other) = (service.client(&["read"]).await, service.client(&["read"]).await);
    service.user("alice", &["read"]).await;
    let first = service.password_grant(&client, "alice").await.text_of("refresh_token");
    let second = service.refresh_as(&client, &first).await.text_of("refresh_token");
    service.refresh_as(&other, &first).await.is_error(400, "invalid_grant");
    service.refresh(&first).await.is_error(401, "invalid_client");
    let retried = service.refresh_as(&client, &first).await;
    retried.is(200);
    service.refresh_as(&other, &second).await.is_error(400, "invalid_grant");
    service.refresh_as(&client, &retried.text_of("refresh_token")).await.is(200);
}

/// Whatever the purge has deleted by then, a copy is known for one, until the family has ended by itself.
#[tokio::test]
async fn no_purge_makes_a_copy_pass() {
    let service = start().await;
    let (_, mut refresh) = service.login_with_refresh("alice").await;
    let first = refresh.clone();
    for _ in 0..3 {
        service.advance(days(25));
        (_, refresh) = service.traded(&refresh).await;
        maintain(&service).await;
    }
    let id = daypass::token::check::parse(&service.app, &first, service.now()).unwrap().id;
    assert!(daypass::token::find(service.app.db.reader(), id).await.unwrap().is_none(), "the purge took its token");
    let (access, next) = service.traded(&refresh).await;
    service.refresh(&first).await.is_error(400, "invalid_grant");
    service.check(&access).await.is(401);
    service.refresh(&next).await.is_error(400, "invalid_grant");
    service.advance(days(3));
    maintain(&service).await;
    service.refresh(&next).await.is_error(400, "invalid_grant");
    assert_eq!(on_record(&service).await, 5);
    service.advance(days(13));
    maintain(&service).await;
    assert_eq!(on_record(&service).await, 0, "nothing is kept beyond the end of the family");
    service.refresh(&next).await.is_error(400, "invalid_grant");
    service.refresh(&first).await.is_error(400, "invalid_grant");
}

/// Whichever of its statements fails, the refresh token is as good as before, and so is what it came with.
#[tokio::test]
async fn a_trade_that_fails_spends_nothing() {
    let service = start().await;
    let (session, refresh) = service.login_with_refresh("alice").await;
    for (statement, table) in
        [("UPDATE", "refresh_token"), ("UPDATE", "token"), ("INSERT", "token"), ("INSERT", "refresh_token")]
    {
        service.break_storage(statement, table).await;
        for _ in 0..2 {
            service.refresh(&refresh).await.is_error(503, "temporarily_unavailable");
        }
        service.mend_storage(table).await;
        service.advance(GRACE);
        service.check(&session).await.is(200);
    }
    let (first, second) = service.traded(&refresh).await;
    service.advance(GRACE);
    // A copy is refused also where its family cannot be ended; and not with what says that it has been.
    service.break_storage("UPDATE", "token").await;
    service.refresh(&refresh).await.is_error(503, "temporarily_unavailable");
    service.mend_storage("token").await;
    service.check(&first).await.is(200);
    service.refresh(&refresh).await.is_error(400, "invalid_grant");
    service.check(&first).await.is(401);
    service.refresh(&second).await.is_error(400, "invalid_grant");
}

/// A process that is killed and started anew knows what one did that it shares nothing with but the database.
#[tokio::test]
async fn another_replica_recognises_a_copy() {
    let service = start().await;
    let replica = service.replica().await;
    let (_, first) = service.login_with_refresh("alice").await;
    let (_, second) = replica.traded(&first).await;
    let (access, _) = service.traded(&second).await;
    replica.refresh(&first).await.is_error(400, "invalid_grant");
    service.look().await;
    service.check(&access).await.is(401);
}

/// Whatever ends a session ends what would buy the next one.
#[tokio::test]
async fn what_ends_a_session_ends_its_family() {
    for how in ["logout", "knox", "delete", "delete refresh", "possession", "refresh possession"] {
        let service = start().await;
        let (old_session, first) = service.login_with_refresh("alice").await;
        let (session, refresh) = service.traded(&first).await;
        let (other, other_refresh) = service.login_with_refresh("alice").await;
        let listed = service.get("/v1/tokens?kind=refresh&state=active", Some(&session)).await.member("items");
        let refresh_id = listed.as_array().unwrap().iter().find(|item| item["hint"] == refresh[60..]).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let session_id = service.check(&session).await.text_of("id");
        let ended = match how {
            "logout" => service.post("/v1/logout", Some(&old_session), json!({})).await,
            "knox" => service.post("/api/auth/logout/", Some(&session), json!({})).await,
            "delete" => service.delete(&format!("/v1/tokens/{session_id}"), Some(&other)).await,
            "delete refresh" => service.delete(&format!("/v1/tokens/{refresh_id}"), Some(&other)).await,
            "possession" => service.post("/v1/tokens/revoke", None, json!({ "tokens": [session] })).await,
            _ => service.post("/v1/tokens/revoke", None, json!({ "tokens": [first] })).await,
        };
        assert!(ended.status.is_success(), "{how}: {ended:?}");
        for token in [&old_session, &session] {
            assert_eq!(service.check(token).await.status, 401, "{how}");
        }
        service.refresh(&refresh).await.is_error(400, "invalid_grant");
        service.check(&other).await.is(200);
        service.traded(&other_refresh).await;
    }
}

#[tokio::test]
async fn what_ends_a_users_sessions_ends_their_refresh_tokens() {
    for how in ["logout-all", "logout-all of refresh tokens", "knox", "own password", "password", "disable", "delete"] {
        let service = start().await;
        let admin = service.admin().await;
        let (session, refresh) = service.login_with_refresh("alice").await;
        let (other, other_refresh) = service.login_with_refresh("alice").await;
        let id = service.check(&session).await.json()["user"]["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/users/{id}");
        let change = async |change| service.json(Method::PATCH, &path, Some(&admin), change).await;
        let new_password = json!({ "current_password": PASSWORD, "new_password": "another fine long phrase" });
        let ended = match how {
            "logout-all" => service.post("/v1/logout-all", Some(&other), json!({})).await,
            "logout-all of refresh tokens" => {
                service.post("/v1/logout-all?kinds=refresh", Some(&other), json!({})).await
            }
            "knox" => service.post("/api/auth/logoutall/", Some(&other), json!({})).await,
            "own password" => service.json(Method::PUT, "/v1/me/password", Some(&other), new_password).await,
            "password" => change(json!({ "password": "another fine long phrase" })).await,
            "disable" => change(json!({ "disabled": true })).await,
            _ => service.delete(&path, Some(&admin)).await,
        };
        assert!(ended.status.is_success(), "{how}: {ended:?}");
        // The session that changed the password stays; what would buy its next one does not.
        service.check(&other).await.is(if how == "own password" { 200 } else { 401 });
        for _ in 0..2 {
            service.check(&session).await.is(401);
            for refresh in [&refresh, &other_refresh] {
                service.refresh(refresh).await.is_error(400, "invalid_grant");
            }
            if how == "disable" {
                change(json!({ "disabled": false })).await.is(200);
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_is_disabled_or_deleted_takes_its_families_with_it() {
    let service = Service::with_every_grant().await;
    service.user("alice", &["read"]).await;
    for deleted in [false, true] {
        let client = service.client(&["read"]).await;
        let granted = service.password_grant(&client, "alice").await;
        if deleted {
            daypass::client::delete(&service.app, &client.id, &daypass::audit::Actor::system(), service.now())
                .await
                .unwrap();
        } else {
            let change = daypass::client::Change { disabled: Some(true), ..daypass::client::Change::default() };
            daypass::client::update(&service.app, &client.id, change, &daypass::audit::Actor::system(), service.now())
                .await
                .unwrap();
        }
        service.check(&granted.text_of("access_token")).await.is(401);
        service.refresh_as(&client, &granted.text_of("refresh_token")).await.is_error(401, "invalid_client");
        if !deleted {
            let change = daypass::client::Change { disabled: Some(false), ..daypass::client::Change::default() };
            daypass::client::update(&service.app, &client.id, change, &daypass::audit::Actor::system(), service.now())
                .await
                .unwrap();
            service.refresh_as(&client, &granted.text_of("refresh_token")).await.is_error(400, "invalid_grant");
        }
    }
}

#[tokio::test]
async fn a_session_that_goes_on_counts_once_against_the_limit() {
    let service = Service::with(|config| config.tokens.session.per_user_limit = 1).await;
    service.user("alice", &[]).await;
    let (session, refresh) = service.login_with_refresh("alice").await;
    let (access, refresh) = service.traded(&refresh).await;
    service.check(&session).await.is(401);
    service.check(&access).await.is(200);
    service.login("alice", json!({})).await.is(409);
    // An expired one leaves room, which somebody else may take: then there is none to go on.
    service.advance(Duration::from_hours(10));
    let other = service.login("alice", json!({})).await.token();
    service.refresh(&refresh).await.is_error(400, "access_denied");
    service.post("/v1/logout", Some(&other), json!({})).await.is(204);
    service.traded(&refresh).await;
}

#[tokio::test]
async fn a_session_that_makes_room_takes_its_refresh_token_with_it() {
    let service = Service::with(|config| {
        config.tokens.session.per_user_limit = 2;
        config.tokens.session.at_limit = AtLimit::EvictOldest;
    })
    .await;
    service.user("alice", &[]).await;
    let (oldest, refresh) = service.login_with_refresh("alice").await;
    service.advance_ms(1);
    let (kept, kept_refresh) = service.login_with_refresh("alice").await;
    service.advance_ms(1);
    service.login("alice", json!({})).await.is(200);
    service.check(&oldest).await.is(401);
    service.refresh(&refresh).await.is_error(400, "invalid_grant");
    service.check(&kept).await.is(200);
    service.traded(&kept_refresh).await;
}

#[tokio::test]
async fn refresh_tokens_have_a_limit_of_their_own() {
    let service = Service::with(|config| config.tokens.refresh.per_user_limit = 1).await;
    service.user("alice", &[]).await;
    let (_, refresh) = service.login_with_refresh("alice").await;
    let refused = service.login("alice", json!({ "refresh": true })).await;
    refused.is_problem(409);
    service.login("alice", json!({})).await.is(200);
    let (_, refresh) = service.traded(&refresh).await;
    service.traded(&refresh).await;
    let service = Service::with(|config| {
        config.tokens.refresh.per_user_limit = 1;
        config.tokens.refresh.at_limit = AtLimit::EvictOldest;
    })
    .await;
    service.user("alice", &[]).await;
    let (session, refresh) = service.login_with_refresh("alice").await;
    service.advance_ms(1);
    let (newer, newer_refresh) = service.login_with_refresh("alice").await;
    service.refresh(&refresh).await.is_error(400, "invalid_grant");
    service.check(&session).await.is(401);
    service.check(&newer).await.is(200);
    service.traded(&newer_refresh).await;
}

#[tokio::test]
async fn one_that_goes_unused_for_too_long_ends() {
    let service = Service::with(|config| config.tokens.refresh.idle_timeout = Some(days(7))).await;
    service.user("alice", &[]).await;
    let (_, mut refresh) = service.login_with_refresh("alice").await;
    for _ in 0..5 {
        service.advance(days(6));
        (_, refresh) = service.traded(&refresh).await;
    }
    service.advance(days(7) + seconds(60));
    service.refresh(&refresh).await.is_error(400, "invalid_grant");
}
