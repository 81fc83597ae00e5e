//! The audit trail.

use daypass::{
    audit::{
        Origin, failures,
        list::{self, Filter},
    },
    maintenance::{self, Manner, job::Job},
};
use entity::{
    audit_event::{self, Event},
    maintenance_run::Trigger,
};
use poem::http::Method;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Service, days, seconds};

impl Service {
    /// What is on record, newest first, by this query.
    async fn audit(&self, admin: &str, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/audit?limit=200&{query}"), Some(admin)).await;
        answer.is(200).member("items").as_array().unwrap().clone()
    }

    async fn recorded(&self) -> u64 {
        audit_event::Entity::find().count(self.app.db.reader()).await.unwrap()
    }

    /// The events that something led to, by name and reason, in order of their names.
    async fn what(&self, admin: &str, since: &str) -> Vec<String> {
        let name = |event: &Value| match event["reason"].as_str() {
            Some(reason) => format!("{} {reason}", event["event"].as_str().unwrap()),
            None => event["event"].as_str().unwrap().to_owned(),
        };
        let mut names: Vec<_> = self.audit(admin, &format!("since={since}")).await.iter().map(name).collect();
        names.sort();
        names
    }

    /// Lets a moment go by and tells the time, as a query has it.
    fn later(&self) -> String {
        self.advance_ms(5);
        self.now().to_string()
    }
}

const REQUEST: (&str, &str) = ("x-request-id", "audited-1");

#[tokio::test]
async fn each_thing_that_is_done_to_a_token_is_one_event() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.user("alice", &["read"]).await;

    let since = service.later();
    let login = service.login("alice", json!({})).await;
    let (token, session) = (login.token(), login.text_of("id"));
    let alice = login.member("user")["id"].as_str().unwrap().to_owned();
    assert_eq!(service.what(&admin, &since).await, ["login"]);

    let since = service.later();
    let authorization = ("authorization", format!("Bearer {token}"));
    let headers = [authorization, ("content-type", "application/json".to_owned()), (REQUEST.0, REQUEST.1.to_owned())];
    let issued = service.send(Method::POST, "/v1/tokens", &headers, "{}").await;
    let id = issued.text_of("id");
    let mut event = service.audit(&admin, &format!("since={since}")).await.pop().unwrap();
    assert!(event.as_object_mut().unwrap().remove("id").is_some());
    assert_eq!(
        event,
        json!({
            "created_at": service.now().to_string(), "event": "token_issued",
            "actor": { "kind": "user", "id": alice, "token_id": session },
            "user_id": alice, "client_id": null, "token_id": id, "address": "127.0.0.1",
            "request_id": REQUEST.1, "reason": "api", "count": 1,
        })
    );

    let since = service.later();
    let renewed = service.post(&format!("/v1/tokens/{id}/renew"), Some(&token), json!({})).await;
    renewed.is(200);
    assert_eq!(service.what(&admin, &since).await, ["token_renewed"]);
    let since = service.later();
    service.post(&format!("/v1/tokens/{id}/rotate"), Some(&token), json!({})).await.is(200);
    assert_eq!(service.what(&admin, &since).await, ["token_rotated"]);

    let since = service.later();
    for _ in 0..2 {
        service.delete(&format!("/v1/tokens/{id}"), Some(&token)).await.is(204);
    }
    assert_eq!(service.what(&admin, &since).await, ["token_revoked requested"], "the second did nothing");
    let all = service.audit(&admin, &format!("token_id={id}")).await;
    assert_eq!(all.len(), 4, "issued, renewed, rotated, revoked: {all:?}");

    let since = service.later();
    service.issue(&token, json!({})).await.is(201);
    service.post("/v1/logout-all?kinds=session,api", Some(&token), json!({})).await.is(200);
    let expected = ["token_issued api", "token_revoked logout_all", "token_revoked logout_all"];
    assert_eq!(service.what(&admin, &since).await, expected);
}

#[tokio::test]
async fn what_is_refused_or_only_looked_at_leaves_no_event() {
    let service = Service::start().await;
    let token = service.session("alice", &["read"]).await;
    let before = service.recorded().await;
    service.check(&token).await.is(200);
    service.get("/v1/me", Some(&token)).await.is(200);
    service.get("/v1/tokens", Some(&token)).await.is(200);
    service.issue(&token, json!({ "ttl": 0 })).await.is(422);
    service.issue(&token, json!({ "scopes": ["write"] })).await.is(403);
    service.login("alice", json!({ "scopes": ["write"] })).await.is(403);
    let dead = service.post("/v1/tokens/current/renew", Some(&token), json!({ "ttl": -1 })).await;
    dead.is(422);
    assert_eq!(service.recorded().await, before);
}

#[tokio::test]
async fn a_family_of_refresh_tokens_is_followed_and_a_replay_told_once() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.user("alice", &["read"]).await;
    let since = service.later();
    let first = service.login("alice", json!({ "refresh": true })).await;
    assert_eq!(service.what(&admin, &since).await, ["login", "token_issued refresh"]);
    let trade = |token: String| {
        let form = format!("grant_type=refresh_token&refresh_token={token}");
        let service = &service;
        async move { service.form("/oauth/token", &form).await }
    };
    let since = service.later();
    let second = trade(first.text_of("refresh_token")).await;
    second.is(200);
    let expected = ["token_issued refresh", "token_refreshed", "token_revoked refreshed"];
    assert_eq!(service.what(&admin, &since).await, expected);
    trade(second.text_of("refresh_token")).await.is(200);

    let since = service.later();
    for _ in 0..3 {
        trade(first.text_of("refresh_token")).await.is(400);
    }
    let told = service.what(&admin, &since).await;
    assert_eq!(told.iter().filter(|event| *event == "refresh_replayed").count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|event| *event == "token_revoked replayed").count(), 4, "{told:?}");
    assert_eq!(told.len(), 5, "{told:?}");
}

#[tokio::test]
async fn what_administrators_do_is_told_with_what_changed() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let me = service.get("/v1/me", Some(&admin)).await.member("user")["id"].clone();
    let since = service.later();
    let made = service.post("/v1/users", Some(&admin), json!({ "username": "alice", "password": PASSWORD })).await;
    let path = format!("/v1/users/{}", made.text_of("id"));
    service.json(Method::PATCH, &path, Some(&admin), json!({ "password": PASSWORD, "scopes": ["read"] })).await.is(200);
    let token = service.login("alice", json!({})).await.token();
    service.json(Method::PATCH, &path, Some(&admin), json!({ "disabled": true })).await.is(200);
    service.check(&token).await.is(401);
    service.delete(&path, Some(&admin)).await.is(204);
    let client = service.post("/v1/clients", Some(&admin), json!({ "name": "billing", "scopes": ["read"] })).await;
    let client_path = format!("/v1/clients/{}", client.text_of("client_id"));
    service.json(Method::PATCH, &client_path, Some(&admin), json!({ "name": "reports" })).await.is(200);
    service.post(&format!("{client_path}/rotate-secret"), Some(&admin), json!({})).await.is(200);
    service.delete(&client_path, Some(&admin)).await.is(204);
    service.post("/v1/maintenance/purge", Some(&admin), json!({})).await.is(202);
    service.app.maintenance.stop().await;
    let told = service.what(&admin, &since).await;
    let expected = [
        "client_created",
        "client_deleted",
        "client_secret_rotated",
        "client_updated name",
        "login",
        "purge_requested run",
        "token_revoked user_disabled",
        "user_created alice",
        "user_deleted alice",
        "user_updated disabled",
        "user_updated password scopes",
    ];
    let told: Vec<_> = told.iter().map(|it| if it.starts_with("purge") { &it[..19] } else { &**it }).collect();
    assert_eq!(told, expected);
    let mine = service.audit(&admin, &format!("since={since}&actor=admin")).await;
    assert_eq!(mine.len(), expected.len() - 1, "all but alice's login");
    assert!(mine.iter().all(|event| event["actor"]["id"] == me && event["actor"]["kind"] == "user"));
}

/// What changes and what tells it are one transaction: where one cannot be written, neither is.
#[tokio::test]
async fn nothing_is_done_that_cannot_be_recorded() {
    use sea_orm::ConnectionTrait;
    let service = Service::start().await;
    let token = service.session("alice", &["read"]).await;
    let db = service.app.db.writer();
    db.execute_unprepared("ALTER TABLE audit_event RENAME TO audit_event_away").await.unwrap();
    service.issue(&token, json!({})).await.is_problem(503);
    service.post("/v1/logout", Some(&token), json!({})).await.is_problem(503);
    service.login("alice", json!({})).await.is_problem(503);
    db.execute_unprepared("ALTER TABLE audit_event_away RENAME TO audit_event").await.unwrap();
    let tokens = service.get("/v1/tokens", Some(&token)).await.is(200).member("items");
    assert_eq!(tokens.as_array().unwrap().len(), 1, "neither issued nor logged in nor out: {tokens}");
    service.issue(&token, json!({})).await.is(201);
}

#[tokio::test]
async fn failed_logins_are_summed_up_and_no_name_is_kept_that_is_nobodys() {
    let service = Service::with(|config| config.limits.login_failures_before_lock = 3).await;
    let admin = service.admin().await;
    service.user("alice", &[]).await;
    let since = service.later();
    for _ in 0..5 {
        service.login("Alice", json!({ "password": "wrong" })).await;
        service.login("canary-s3cret", json!({ "password": "wrong" })).await;
    }
    service.login("canary \u{202e}\r\n", json!({ "password": "wrong" })).await.is(401);
    failures::flush(&service.app).await.unwrap();
    let told = service.audit(&admin, &format!("since={since}")).await;
    let mut counts: Vec<_> = told
        .iter()
        .map(|event| (event["event"].as_str().unwrap(), event["user_id"].is_string(), event["count"].as_i64().unwrap()))
        .collect();
    counts.sort_unstable();
    let expected =
        [("locked_out", false, 2), ("locked_out", true, 2), ("login_failed", false, 4), ("login_failed", true, 3)];
    assert_eq!(counts, expected);
    assert!(told.iter().all(|event| event["address"] == "127.0.0.1" && event["actor"]["kind"] == "anonymous"));
    assert!(!json!(told).to_string().contains("canary"), "{told:?}");
    let hers = service.audit(&admin, "subject=alice&event=locked_out").await;
    assert_eq!(hers.len(), 1);
}

/// Whoever floods the door adds a row a second.
#[tokio::test]
async fn a_flood_of_failures_grows_the_trail_by_a_row_a_second() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let before = service.recorded().await;
    let flood = |number: u32| {
        let origin = Origin { address: Some(std::net::Ipv4Addr::from_bits(number).into()), request_id: None };
        let attempt = failures::Attempt {
            event: Event::LoginFailed,
            name: Some(format!("name{number}")),
            address: origin.address,
            reason: "bad_credentials",
        };
        service.app.failures.note(attempt, &origin);
    };
    for round in 0..20_u32 {
        (0..3_000).for_each(|number| flood(round * 3_000 + number));
        failures::flush(&service.app).await.unwrap();
        service.advance(seconds(5));
    }
    // A burst, a row a second, and a row for the rest in each round.
    let rows = service.recorded().await - before;
    assert!(rows <= 60 + 100 + 20, "{rows} rows for 60,000 attempts in 100 s");
    let told = service.audit(&admin, "event=login_failed").await;
    let sum: i64 = told.iter().map(|event| event["count"].as_i64().unwrap()).sum();
    assert_eq!(sum, 60_000, "none is lost");
}

#[tokio::test]
async fn failures_that_cannot_be_written_wait() {
    use sea_orm::ConnectionTrait;
    let service = Service::start().await;
    let admin = service.admin().await;
    service.login("nobody", json!({})).await.is(401);
    let db = service.app.db.writer();
    db.execute_unprepared("ALTER TABLE audit_event RENAME TO audit_event_away").await.unwrap();
    assert!(failures::flush(&service.app).await.is_err());
    db.execute_unprepared("ALTER TABLE audit_event_away RENAME TO audit_event").await.unwrap();
    failures::flush(&service.app).await.unwrap();
    assert_eq!(service.audit(&admin, "event=login_failed").await.len(), 1);
}

#[tokio::test]
async fn only_administrators_read_it_and_filters_are_checked() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let alice = service.session("alice", &[]).await;
    service.get("/v1/audit", Some(&alice)).await.is_problem(403);
    service.get("/v1/audit", None).await.is_problem(401);
    for (query, field) in [
        ("event=nonsense", "event"),
        ("token_id=x", "token_id"),
        ("since=yesterday", "since"),
        ("until=x", "until"),
        ("cursor=x", "cursor"),
    ] {
        service.get(&format!("/v1/audit?{query}"), Some(&admin)).await.is_about(400, field);
    }
    service.get("/v1/audit?limit=0", Some(&admin)).await.is_about(422, "limit");
    // What no database takes, and what nobody is called.
    for name in ["%00", "nobody", "%F0%9F%92%A9", "", "a'%3B--"] {
        assert!(service.audit(&admin, &format!("actor={name}")).await.is_empty(), "{name}");
        assert!(service.audit(&admin, &format!("subject={name}")).await.is_empty(), "{name}");
    }
    let now = service.now();
    assert!(service.audit(&admin, &format!("until={now}")).await.is_empty());
    assert_eq!(service.audit(&admin, &format!("since={now}")).await.len(), 4, "two users, two logins");
}

#[tokio::test]
async fn pages_follow_one_another_and_leave_nothing_out() {
    let service = Service::start().await;
    let admin = service.admin().await;
    for _ in 0..7 {
        service.login("admin", json!({})).await.is(200);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = service.get(&format!("/v1/audit?limit=2&event=login{cursor}"), Some(&admin)).await;
        let items = answer.is(200).member("items").as_array().unwrap().clone();
        seen.extend(items.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        match answer.member("next_cursor").as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 8);
    assert!(seen.is_sorted_by(|earlier, later| earlier > later), "newest first, none twice");

    // A page that looks at three events goes on after those, also where none was wanted.
    let filter = Filter { event: Some(Event::UserCreated), ..Filter::default() };
    let (mut found, mut after, mut pages) = (0, None, 0);
    loop {
        let page = list::page(service.app.db.reader(), &filter, after, 50, 3).await.unwrap();
        (found, after, pages) = (found + page.events.len(), page.next, pages + 1);
        if after.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (1, 4), "of nine events");
}

#[tokio::test]
async fn events_go_when_they_are_old_or_never() {
    for (keep, left) in [(Some(days(90)), 1), (None, 3)] {
        let service = Service::with(|config| {
            config.audit.keep = keep;
            config.tokens.session.ttl = days(30);
        })
        .await;
        service.session("alice", &[]).await;
        let history = async || {
            maintenance::run(&service.app, Job::History, Trigger::Schedule, Manner::default(), &mut ()).await.unwrap();
        };
        service.advance(days(90));
        history().await;
        assert_eq!(service.recorded().await, 2, "not before");
        service.advance_ms(1);
        service.login("alice", json!({})).await.is(200);
        history().await;
        assert_eq!(service.recorded().await, left, "{keep:?}");
    }
}

#[tokio::test]
async fn a_purge_that_deletes_is_told_with_how_many() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.fill(20, 5).await;
    let since = service.later();
    for trigger in [Trigger::Schedule, Trigger::Schedule, Trigger::Cli] {
        maintenance::run(&service.app, Job::Purge, trigger, Manner::default(), &mut ()).await.unwrap();
    }
    let told = service.audit(&admin, &format!("since={since}")).await;
    let told: Vec<_> = told.iter().map(|event| (event["event"].as_str().unwrap(), &event["actor"]["kind"])).collect();
    assert_eq!(told.iter().filter(|(event, _)| *event == "purged").count(), 1, "{told:?}");
    assert!(told.contains(&("purged", &json!("system"))) && told.contains(&("purge_requested", &json!("cli"))));
    assert_eq!(service.audit(&admin, "event=purged").await[0]["count"], 20);
}

/// As for tokens: of two that end the same one, one did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_revocations_one_is_on_record() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.session("alice", &[]).await;
    let id = service.issue(&token, json!({})).await.text_of("id");
    let path = format!("/v1/tokens/{id}");
    let all = futures_util::future::join_all((0..20).map(|_| service.delete(&path, Some(&token)))).await;
    assert!(all.iter().all(|answer| answer.status == 204));
    assert_eq!(service.audit(&admin, &format!("event=token_revoked&token_id={id}")).await.len(), 1);
}
