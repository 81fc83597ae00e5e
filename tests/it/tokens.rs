//! Issuing, listing and looking at tokens.

use std::sync::Arc;

use daypass::db::Engine;
use entity::{token, user};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Answer, Service, seconds};

#[tokio::test]
async fn a_session_issues_api_tokens() {
    let service = Service::start().await;
    let session = service.session("alice", &["read", "write", "daypass:issue"]).await;
    let wanted = json!({ "name": "nightly", "ttl": 86400, "idle_timeout": 3600, "scopes": ["read"] });
    let answer = service.issue(&session, wanted).await;
    answer.is(201);
    assert!(answer.token().starts_with("dpk_"));
    assert_eq!(answer.member("kind"), "api");
    assert_eq!(answer.member("expires_at"), "2026-11-24T10:00:00.000Z");
    assert_eq!(answer.member("limited_by"), "idle_timeout");
    assert_eq!(answer.member("max_expires_at"), "2027-11-24T09:00:00.000Z");
    let plain = service.issue(&session, json!({})).await;
    assert_eq!(plain.member("scopes"), json!(["read", "write"]), "daypass:* is never handed on unasked");
    assert_eq!(plain.member("expires_at"), "2027-02-22T09:00:00.000Z");
    service.check(&plain.token()).await.is(200);
}

#[tokio::test]
async fn only_who_may_issue_does() {
    let service = Service::start().await;
    let session = service.session("alice", &["read", "daypass:issue"]).await;
    let plain = service.issue(&session, json!({ "scopes": ["read"] })).await.token();
    let answer = service.issue(&plain, json!({})).await;
    answer.is_problem(403);
    assert!(answer.header("www-authenticate").contains("insufficient_scope"));
    let issuing = service.issue(&session, json!({ "scopes": ["read", "daypass:issue"] })).await.token();
    service.issue(&issuing, json!({})).await.is(201);
    service.issue(&session, json!({ "scopes": ["write"] })).await.is_problem(403);
}

#[tokio::test]
async fn a_token_lives_on_when_the_one_that_made_it_ends() {
    let service = Service::start().await;
    let session = service.session("alice", &["read"]).await;
    let api = service.issue(&session, json!({})).await.token();
    service.post("/v1/logout", Some(&session), json!({})).await.is(204);
    service.check(&api).await.is(200);
}

#[tokio::test]
async fn an_administrator_issues_for_others_within_their_scopes() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let alice = service.session("alice", &["read"]).await;
    let answer = service.issue(&admin, json!({ "user": "ALICE" })).await;
    assert_eq!(answer.is(201).member("scopes"), json!(["read"]));
    assert_eq!(answer.json()["user"]["username"], "alice");
    service.issue(&admin, json!({ "user": "alice", "scopes": ["write"] })).await.is_problem(403);
    service.issue(&admin, json!({ "user": "nobody" })).await.is_about(422, "user");
    service.issue(&alice, json!({ "user": "admin" })).await.is_problem(403);
    service.issue(&alice, json!({ "user": "nobody" })).await.is_problem(403);
    service.issue(&alice, json!({ "user": "alice" })).await.is(201);
}

#[tokio::test]
async fn what_a_user_may_no_longer_have_its_tokens_no_longer_hold() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let alice = service.session("alice", &["read", "daypass:admin"]).await;
    let id = service.get("/v1/me", Some(&alice)).await.json()["user"]["id"].as_str().unwrap().to_owned();
    service.get("/v1/users", Some(&alice)).await.is(200);
    let path = format!("/v1/users/{id}");
    let change = json!({ "scopes": ["read"] });
    service.json(poem::http::Method::PATCH, &path, Some(&admin), change).await.is(200);
    service.get("/v1/users", Some(&alice)).await.is_problem(403);
    assert_eq!(service.check(&alice).await.is(200).header("x-daypass-scope"), "read");
}

#[tokio::test]
async fn somebody_elses_token_is_not_there() {
    let service = Service::start().await;
    let (alice, bob) = (service.session("alice", &[]).await, service.session("bob", &[]).await);
    let admin = service.admin().await;
    let path = format!("/v1/tokens/{}", service.check(&alice).await.text_of("id"));
    service.get(&path, Some(&alice)).await.is(200);
    service.get(&path, Some(&admin)).await.is(200);
    service.get(&path, Some(&bob)).await.is_problem(404);
    service.delete(&path, Some(&bob)).await.is_problem(404);
    service.post(&format!("{path}/renew"), Some(&bob), json!({})).await.is_problem(404);
    service.post(&format!("{path}/rotate"), Some(&bob), json!({})).await.is_problem(404);
    let current = service.get("/v1/tokens/current", Some(&bob)).await;
    assert_eq!(current.is(200).json()["user"]["username"], "bob");
    service.get("/v1/tokens/not-an-id", Some(&bob)).await.is_about(400, "id");
}

async fn list(service: &Service, token: &str, query: &str) -> (Vec<String>, Value) {
    let answer = service.get(&format!("/v1/tokens{query}"), Some(token)).await;
    answer.is(200);
    let items = answer.member("items");
    let names = items.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap_or("-").to_owned());
    (names.collect(), answer.member("next_cursor"))
}

#[tokio::test]
async fn lists_are_paged_newest_first() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    for name in ["a", "b", "c", "d"] {
        service.advance_ms(1);
        service.issue(&session, json!({ "name": name })).await.is(201);
    }
    let (first, cursor) = list(&service, &session, "?limit=2").await;
    assert_eq!(first, ["d", "c"]);
    let (second, cursor) = list(&service, &session, &format!("?limit=2&cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!(second, ["b", "a"]);
    let (last, cursor) = list(&service, &session, &format!("?limit=2&cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!((last, cursor), (vec!["-".to_owned()], Value::Null));
    service.get("/v1/tokens?cursor=nonsense!", Some(&session)).await.is_about(400, "cursor");
    for limit in ["0", "201"] {
        service.get(&format!("/v1/tokens?limit={limit}"), Some(&session)).await.is_about(422, "limit");
    }
    service.get("/v1/tokens?limit=many", Some(&session)).await.is_about(400, "limit");
}

#[tokio::test]
async fn lists_are_filtered() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let admin = service.admin().await;
    for (name, ttl) in [("short", 60), ("long", 3600), ("gone", 3600)] {
        service.issue(&session, json!({ "name": name, "ttl": ttl })).await.is(201);
        service.advance_ms(1);
    }
    let gone = service.get("/v1/tokens?limit=1", Some(&session)).await.json()["items"][0]["id"].clone();
    service.delete(&format!("/v1/tokens/{}", gone.as_str().unwrap()), Some(&session)).await.is(204);
    service.advance(seconds(60));
    assert_eq!(list(&service, &session, "?state=active").await.0, ["long", "-"]);
    assert_eq!(list(&service, &session, "?state=expired").await.0, ["short"]);
    assert_eq!(list(&service, &session, "?state=revoked").await.0, ["gone"]);
    assert_eq!(list(&service, &session, "?kind=api").await.0, ["gone", "long", "short"]);
    assert_eq!(list(&service, &session, "?expires_before=2026-11-24T09:30:00Z").await.0, ["short"]);
    assert_eq!(list(&service, &session, "").await.0.len(), 4);
    assert_eq!(list(&service, &admin, "").await.0.len(), 5, "an administrator sees everybody's");
    assert_eq!(list(&service, &admin, "?user=alice").await.0.len(), 4);
    assert!(list(&service, &session, "?user=admin").await.0.is_empty());
    service.get("/v1/tokens?state=dead", Some(&session)).await.is_about(400, "state");
    service.get("/v1/tokens?expires_before=soon", Some(&session)).await.is_about(400, "expires_before");
}

/// Nothing of a token that helps to use or to guess it is shown a second time, to nobody.
#[tokio::test]
async fn of_a_token_nothing_is_shown_again_but_its_last_four_characters() {
    daypass::telemetry::count();
    let service = Service::start().await;
    let admin = service.admin().await;
    let login = service.login("admin", json!({ "refresh": true })).await;
    let api = service.issue(&admin, json!({ "name": "ci" })).await;
    let rotated = service.post(&format!("/v1/tokens/{}/rotate", api.text_of("id")), Some(&admin), json!({})).await;
    let shown = [
        service.get("/v1/tokens?limit=200", Some(&admin)).await,
        service.get("/v1/tokens/current", Some(&admin)).await,
        service.get(&format!("/v1/tokens/{}", api.text_of("id")), Some(&admin)).await,
        service.get("/v1/me", Some(&admin)).await,
        service.check(&admin).await,
        service.get("/v1/audit?limit=200", Some(&admin)).await,
        service.get("/metrics", None).await,
    ];
    for token in [admin.clone(), login.token(), login.text_of("refresh_token"), api.token(), rotated.token()] {
        for answer in &shown {
            answer.is(200);
            let whole = format!("{:?} {}", answer.headers, answer.text);
            // The first 26 characters are its kind and its id in another form, which are no secret; the rest is.
            for at in 0..=token.len() - 5 {
                assert!(!whole.contains(&token[at..at + 5]) || at < 26, "{} is in {whole}", &token[at..at + 5]);
            }
        }
    }
    assert!(shown[0].text.contains(rotated.text_of("hint").as_str()));
}

#[tokio::test]
async fn a_name_may_be_anything_that_can_be_read() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let name = "\u{1f511} Schl\u{fc}ssel \"von\" \\Alice\\";
    assert_eq!(service.issue(&session, json!({ "name": name })).await.is(201).member("name"), name);
    for bad in ["", "line\nbreak", &"x".repeat(201)] {
        service.issue(&session, json!({ "name": bad })).await.is_about(422, "name");
    }
}

#[tokio::test]
async fn a_disabled_user_gets_no_token_from_anybody() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let alice = service.session("alice", &[]).await;
    let user = service.get("/v1/me", Some(&alice)).await.member("user")["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/users/{user}");
    service.json(poem::http::Method::PATCH, &path, Some(&admin), json!({ "disabled": true })).await.is(200);
    service.issue(&admin, json!({ "user": "alice" })).await.is_problem(409);
    let wanted = daypass::token::issue::Wanted::default();
    let by = daypass::audit::Actor::system();
    let by_hand = daypass::token::issue::api(&service.app, user.parse().unwrap(), wanted, None, &by, service.now());
    assert!(matches!(by_hand.await, Err(daypass::error::Error::Conflict(_))));
}

#[tokio::test]
async fn what_can_be_nobodys_name_is_nobodys() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.session("alice", &[]).await;
    let users = service.get("/v1/users", Some(&admin)).await.member("items");
    let alice = users.as_array().unwrap().iter().find(|user| user["username"] == "alice").unwrap();
    let id = alice["id"].as_str().unwrap();
    service.delete(&format!("/v1/users/{id}"), Some(&admin)).await.is(204);
    for nobody in [format!("deleted:{id}"), "a\u{0}b".to_owned(), "\u{1f511}".to_owned(), "x".repeat(10_000)] {
        let issued = service.issue(&admin, json!({ "user": nobody })).await;
        issued.is_about(422, "user");
        let mut path = url::Url::parse("x:/v1/tokens").unwrap();
        path.query_pairs_mut().append_pair("user", &nobody);
        let listed = service.get(&path.as_str()[2..], Some(&admin)).await;
        assert_eq!(listed.is(200).member("items"), json!([]), "{nobody:?}");
        let found = daypass::account::users::find_by_name(service.app.db.reader(), &nobody).await.unwrap();
        assert!(found.is_none(), "{nobody:?}");
    }
}

#[tokio::test]
async fn a_user_whose_name_looks_like_an_id_can_be_named() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let name = "deadbeefdeadbeefdeadbeefdeadbeef";
    service.user(name, &[]).await;
    let issued = service.issue(&admin, json!({ "user": name })).await;
    assert_eq!(issued.is(201).member("user")["username"], name);
    let listed = service.get(&format!("/v1/tokens?user={name}"), Some(&admin)).await.member("items");
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

/// Asks for a token by each of these sessions at the same time; the answers come in their order.
async fn issue_together(service: &Arc<Service>, wanted: impl Iterator<Item = (String, Value)>) -> Vec<Answer> {
    let mut asking = JoinSet::new();
    for (number, (session, wanted)) in wanted.enumerate() {
        let service = Arc::clone(service);
        asking.spawn(async move { (number, service.issue(&session, wanted).await) });
    }
    let mut answers = asking.join_all().await;
    answers.sort_unstable_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Those that wait at the same time are made by one statement, where an engine can do that. Each is its own user's, and who may
/// have none any more, by what another replica has just done, gets none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_asked_for_together_are_not_mixed_up() {
    const USERS: usize = 7;
    let service = Arc::new(Service::start().await);
    let mut sessions = Vec::new();
    for number in 0..USERS {
        sessions.push(service.session(&format!("user{number}"), &["read"]).await);
    }
    let me = service.get("/v1/tokens/current", Some(&sessions[5])).await.text_of("id").parse::<Uuid>().unwrap();
    let db = service.app.db.writer();
    let disable = user::Entity::update_many().col_expr(user::Column::DisabledAt, Expr::value(1_i64));
    disable.filter(user::Column::CanonicalName.eq("user3")).exec(db).await.unwrap();
    let revoke = token::Entity::update_many().col_expr(token::Column::RevokedAt, Expr::value(1_i64));
    revoke.filter(token::Column::Id.eq(me)).exec(db).await.unwrap();

    let wanted = (0..60).map(|number| (sessions[number % USERS].clone(), json!({ "name": format!("n{number}") })));
    for (number, answer) in issue_together(&service, wanted).await.into_iter().enumerate() {
        match number % USERS {
            3 => drop(answer.is_problem(409)),
            5 => drop(answer.is(401)),
            of => {
                assert_eq!(answer.is(201).member("name"), json!(format!("n{number}")));
                let checked = service.check(&answer.token()).await;
                assert_eq!(checked.is(200).header("remote-user"), format!("user{of}"));
                let events = service.app.db.reader().query_all_raw(events_of(&service, &answer)).await.unwrap();
                assert_eq!(events.len(), 1, "it is on record once");
            }
        }
    }
}

fn events_of(service: &Service, answer: &Answer) -> sea_orm::Statement {
    let id = answer.text_of("id").parse::<Uuid>().unwrap();
    let events = entity::audit_event::Entity::find().filter(entity::audit_event::Column::TokenId.eq(id));
    sea_orm::QueryTrait::build(&events, service.app.db.reader().get_database_backend())
}

/// A database may refuse one row and take the next, whatever for: here because of a constraint of somebody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_refused_is_no_error_of_those_beside_it() {
    let service = Arc::new(Service::start().await);
    let session = service.session("alice", &["read"]).await;
    let picky = match service.app.db.engine() {
        Engine::Sqlite => "CREATE UNIQUE INDEX picky ON token (name) WHERE name = 'odd'",
        Engine::Postgres | Engine::MySql => "ALTER TABLE token ADD CONSTRAINT picky CHECK (name <> 'odd')",
    };
    service.app.db.writer().execute_unprepared(picky).await.unwrap();
    // Where it is an index, the first may be.
    service.issue(&session, json!({ "name": "odd" })).await;
    let name = |number: usize| if number == 20 { "odd" } else { "even" };
    let wanted = (0..40).map(|number| (session.clone(), json!({ "name": name(number) })));
    for (number, answer) in issue_together(&service, wanted).await.into_iter().enumerate() {
        answer.is(if number == 20 { 503 } else { 201 });
    }
}
