//! OAuth clients: `/v1/clients`, and what the OAuth doors ask about them.

use std::sync::Arc;

use daypass::{
    app::App,
    client,
    db::Engine,
    error::Error,
    maintenance::{self, Manner, job::Job},
    token::{Kind, secret::TokenSecret},
    write::{Write, write},
};
use entity::{maintenance_run::Trigger, token};
use poem::http::Method;
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinSet};
use uuid::Uuid;

use crate::support::{Answer, Service, database::Database, days, rows::a_token, seconds};

/// Makes a client: its id and its secret.
async fn a_client(service: &Service, admin: &str, wanted: Value) -> (String, String) {
    let made = service.post("/v1/clients", Some(admin), wanted).await;
    made.is(201);
    (made.text_of("client_id"), made.text_of("client_secret"))
}

fn path(client_id: &str) -> String {
    format!("/v1/clients/{client_id}")
}

async fn patch(service: &Service, admin: &str, client_id: &str, change: Value) -> Answer {
    service.json(Method::PATCH, &path(client_id), Some(admin), change).await
}

async fn rotate(service: &Service, admin: &str, client_id: &str, overlap: i64) -> String {
    let path = format!("/v1/clients/{client_id}/rotate-secret");
    let rotated = service.post(&path, Some(admin), json!({ "overlap": overlap })).await;
    rotated.is(200);
    rotated.text_of("client_secret")
}

async fn is_let_in(service: &Service, client_id: &str, secret: &str) -> bool {
    match client::authenticate(&service.app, client_id, secret, service.now()).await {
        Ok(client) => {
            assert_eq!(client.client_id, client_id);
            true
        }
        Err(Error::BadClient) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Writes a token of a client, for a user if one is named.
async fn insert(app: &App, to: &Write<'_>, client_id: &str, user_id: Option<Uuid>) -> Result<String, Error> {
    let now = app.clock.now();
    let row = a_token(now.plus_seconds(3600));
    let id = daypass::id::new(now);
    let secret = TokenSecret::generate("dp", Kind::Client, id)?;
    let (digest, client_id) = (secret.digest(), Some(client_id.to_owned()));
    let row = token::Model { id, kind: Kind::Client, digest, client_id, user_id, ..row };
    token::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(to.txn()).await?;
    Ok(secret.expose().to_owned())
}

/// Issues a token to a client as the OAuth doors do: under its lock.
async fn issue(app: &Arc<App>, client_id: &str, user_id: Option<Uuid>) -> Result<String, Error> {
    let (shared, client_id) = (Arc::clone(app), client_id.to_owned());
    write(app, &daypass::audit::Actor::system(), move |write| {
        Box::pin(async move {
            let client = client::lock_to_issue(write, &client_id).await?;
            insert(&shared, write, &client.client_id, user_id).await
        })
    })
    .await
}

#[tokio::test]
async fn administrators_make_look_at_and_change_clients() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let wanted = json!({ "name": "billing", "scopes": ["read", "daypass:introspect"] });
    let made = service.post("/v1/clients", Some(&admin), wanted).await;
    assert_eq!(made.is(201).header("cache-control"), "no-store");
    let (id, secret) = (made.text_of("client_id"), made.text_of("client_secret"));
    for (text, length) in [(&id, 22), (&secret, 43)] {
        assert!(text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
    }
    let mut expected = json!({
        "client_id": id,
        "name": "billing",
        "scopes": ["daypass:introspect", "read"],
        "grants": ["client_credentials", "refresh_token"],
        "disabled": false,
        "created_at": "2026-11-24T09:00:00.000Z",
        "previous_secret_expires_at": null,
    });
    let got = service.get(&path(&id), Some(&admin)).await;
    assert_eq!(got.is(200).json(), expected);
    let mut shown = made.json();
    shown.as_object_mut().unwrap().remove("client_secret");
    assert_eq!(shown, expected);
    let changed = patch(&service, &admin, &id, json!({ "name": "invoices", "scopes": [], "grants": [] })).await;
    for (member, value) in [("name", json!("invoices")), ("scopes", json!([])), ("grants", json!([]))] {
        expected[member] = value;
    }
    assert_eq!(changed.is(200).json(), expected);
    assert_eq!(patch(&service, &admin, &id, json!({})).await.is(200).json(), expected);
    assert_eq!(service.get(&path(&id), Some(&admin)).await.json(), expected);
    assert!(is_let_in(&service, &id, &secret).await, "nothing of that is about the secret");
}

#[tokio::test]
async fn nobody_else_does() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let (id, _) = a_client(&service, &admin, json!({ "name": "billing" })).await;
    let alice = service.session("alice", &["daypass:introspect", "daypass:issue"]).await;
    let rotation = format!("{}/rotate-secret", path(&id));
    for (method, path) in [
        (Method::GET, "/v1/clients"),
        (Method::POST, "/v1/clients"),
        (Method::GET, &path(&id)),
        (Method::PATCH, &path(&id)),
        (Method::DELETE, &path(&id)),
        (Method::POST, &rotation),
    ] {
        let refused = service.json(method.clone(), path, Some(&alice), json!({ "name": "x" })).await;
        assert!(refused.is_problem(403).header("www-authenticate").contains("scope=\"daypass:admin\""));
        service.json(method, path, None, json!({ "name": "x" })).await.is_problem(401);
    }
    let list = service.get("/v1/clients", Some(&admin)).await;
    assert_eq!(list.member("items").as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_out_of_range_is_named() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let (id, _) = a_client(&service, &admin, json!({ "name": "billing" })).await;
    let long = "x".repeat(201);
    for (body, status, field) in [
        (json!({}), 400, "name"),
        (json!({ "name": 5 }), 400, "name"),
        (json!({ "name": "" }), 422, "name"),
        (json!({ "name": "a\nb" }), 422, "name"),
        (json!({ "name": long }), 422, "name"),
        (json!({ "name": "x", "scopes": ["read", "a b"] }), 422, "scopes[1]"),
        (json!({ "name": "x", "grants": ["implicit"] }), 422, "grants[0]"),
        (json!({ "name": "x", "grants": ["client_credentials", "password"] }), 422, "grants"),
        (json!({ "name": "x", "secret": "chosen" }), 422, "secret"),
    ] {
        service.post("/v1/clients", Some(&admin), body.clone()).await.is_about(status, field);
        if status == 422 {
            patch(&service, &admin, &id, body).await.is_about(422, field);
        }
    }
    let rotation = format!("{}/rotate-secret", path(&id));
    for overlap in [-1, 604_801, i64::MAX] {
        service.post(&rotation, Some(&admin), json!({ "overlap": overlap })).await.is_about(422, "overlap");
    }
    service.post(&rotation, Some(&admin), json!({ "overlap": "1h" })).await.is_about(400, "overlap");
    service.get("/v1/clients?limit=201", Some(&admin)).await.is_about(422, "limit");
    service.get("/v1/clients?cursor=x", Some(&admin)).await.is_about(400, "cursor");
    for nobody in
        ["x", "0000000000000000000000", "zzzzzzzzzzzzzzzzzzzzzz", "%00", &id.to_lowercase(), &format!("{id}0")]
    {
        service.get(&path(nobody), Some(&admin)).await.is_problem(404);
        patch(&service, &admin, nobody, json!({ "disabled": true })).await.is_problem(404);
        service.delete(&path(nobody), Some(&admin)).await.is_problem(404);
    }
}

#[tokio::test]
async fn a_grant_by_password_is_given_only_while_it_is_on() {
    let service = Service::with(|config| config.oauth.password_grant = true).await;
    let admin = service.admin().await;
    let wanted = json!({ "name": "legacy", "grants": ["password", "refresh_token", "password"] });
    let (id, _) = a_client(&service, &admin, wanted).await;
    let grants = service.get(&path(&id), Some(&admin)).await.member("grants");
    assert_eq!(grants, json!(["password", "refresh_token"]));
}

#[tokio::test]
async fn clients_are_paged_newest_first() {
    let service = Service::start().await;
    let admin = service.admin().await;
    for name in ["a", "b", "c", "d", "e"] {
        service.advance_ms(1);
        a_client(&service, &admin, json!({ "name": name })).await;
    }
    let (mut names, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = service.get(&format!("/v1/clients?limit=2{cursor}"), Some(&admin)).await;
        pages += 1;
        let items = page.member("items");
        names.extend(items.as_array().unwrap().iter().map(|client| client["name"].as_str().unwrap().to_owned()));
        let next = page.member("next_cursor");
        let Some(next) = next.as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((names, pages), (["e", "d", "c", "b", "a"].map(str::to_owned).to_vec(), 3));
}

/// Upper and lower case, digits: an id of every digit that base62 has, in the order of the numbers that they are.
#[tokio::test]
async fn ids_are_put_in_the_order_of_their_bytes_in_every_database() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let (id, _) = a_client(&service, &admin, json!({ "name": "x" })).await;
    let row = client::find(service.app.db.reader(), &id).await.unwrap();
    let digits = ('0'..='9').chain('A'..='Z').chain('a'..='z');
    let ids: Vec<_> = digits.map(|digit| format!("1{digit}{}", "0".repeat(20))).collect();
    for client_id in &ids {
        let row = client::Model { client_id: client_id.clone(), ..row.clone() };
        let insert = entity::client::Entity::insert(row.into_active_model().reset_all());
        insert.exec_without_returning(service.app.db.writer()).await.unwrap();
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = client::list(service.app.db.reader(), service.app.db.engine(), after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(client::key(last));
        listed.extend(page.into_iter().map(|client| client.client_id));
    }
    listed.retain(|listed| *listed != id);
    listed.reverse();
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn only_the_right_secret_of_a_client_that_is_well_lets_in() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let (id, secret) = a_client(&service, &admin, json!({ "name": "one" })).await;
    let (other, others) = a_client(&service, &admin, json!({ "name": "other" })).await;
    assert!(is_let_in(&service, &id, &secret).await && is_let_in(&service, &other, &others).await);
    let cut = &secret[..42];
    for wrong in ["", cut, &others, &format!("{secret}x"), &secret.to_lowercase(), "\0", "caf\u{e9}"] {
        assert!(!is_let_in(&service, &id, wrong).await, "{wrong}");
    }
    for nobody in ["", "x", "0000000000000000000000", "\0", &id.to_uppercase(), "caf\u{e9}", &secret] {
        assert!(!is_let_in(&service, nobody, &secret).await, "{nobody}");
    }
    patch(&service, &admin, &id, json!({ "disabled": true })).await.is(200);
    assert!(!is_let_in(&service, &id, &secret).await);
    patch(&service, &admin, &id, json!({ "disabled": false })).await.is(200);
    assert!(is_let_in(&service, &id, &secret).await);
    service.delete(&path(&id), Some(&admin)).await.is(204);
    assert!(!is_let_in(&service, &id, &secret).await);
    assert!(is_let_in(&service, &other, &others).await);
}

#[tokio::test]
async fn a_replaced_secret_works_as_long_as_its_overlap() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let (id, first) = a_client(&service, &admin, json!({ "name": "billing" })).await;
    let token = issue(&service.app, &id, None).await.unwrap();
    let second = rotate(&service, &admin, &id, 60).await;
    let shown = service.get(&path(&id), Some(&admin)).await.text_of("previous_secret_expires_at");
    assert_eq!(shown, "2026-11-24T09:01:00.000Z");
    service.advance_ms(59_999);
    assert!(is_let_in(&service, &id, &first).await && is_let_in(&service, &id, &second).await);
    service.advance_ms(1);
    assert!(!is_let_in(&service, &id, &first).await && is_let_in(&service, &id, &second).await);
    assert_eq!(service.get(&path(&id), Some(&admin)).await.member("previous_secret_expires_at"), Value::Null);
    // Rotating again ends an overlap that still runs: at most two secrets work.
    let third = rotate(&service, &admin, &id, 60).await;
    let fourth = rotate(&service, &admin, &id, 60).await;
    assert!(!is_let_in(&service, &id, &second).await);
    assert!(is_let_in(&service, &id, &third).await && is_let_in(&service, &id, &fourth).await);
    let rotation = format!("{}/rotate-secret", path(&id));
    let fifth = service.post(&rotation, Some(&admin), json!({})).await;
    assert_eq!(fifth.is(200).header("cache-control"), "no-store");
    assert!(!is_let_in(&service, &id, &third).await && !is_let_in(&service, &id, &fourth).await);
    assert!(is_let_in(&service, &id, &fifth.text_of("client_secret")).await);
    service.check(&token).await.is(200);
}

/// A replica that remembers a token sees its end like any other change.
#[tokio::test]
async fn disabling_and_deleting_end_every_token_of_the_client_and_no_other() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let alice = service.session("alice", &[]).await;
    let user = service.get("/v1/me", Some(&alice)).await.json()["user"]["id"].as_str().unwrap().parse().unwrap();
    let (other, _) = a_client(&service, &admin, json!({ "name": "other" })).await;
    let others = issue(&service.app, &other, Some(user)).await.unwrap();
    let replica = service.replica().await;
    for end in ["disable", "delete"] {
        let (id, _) = a_client(&service, &admin, json!({ "name": end })).await;
        let own = issue(&service.app, &id, None).await.unwrap();
        let users = issue(&service.app, &id, Some(user)).await.unwrap();
        for token in [&own, &users] {
            service.check(token).await.is(200);
            replica.check(token).await.is(200);
        }
        if end == "disable" {
            patch(&service, &admin, &id, json!({ "disabled": true })).await.is(200);
            patch(&service, &admin, &id, json!({ "disabled": false })).await.is(200);
        } else {
            service.delete(&path(&id), Some(&admin)).await.is(204);
            service.get(&path(&id), Some(&admin)).await.is_problem(404);
            patch(&service, &admin, &id, json!({ "disabled": false })).await.is_problem(404);
            service.delete(&path(&id), Some(&admin)).await.is_problem(404);
        }
        replica.look().await;
        for token in [&own, &users] {
            service.check(token).await.is(401);
            replica.check(token).await.is(401);
        }
    }
    for token in [&others, &alice] {
        service.check(token).await.is(200);
    }
    let names = service.get("/v1/clients", Some(&admin)).await.text;
    assert!(names.contains("\"disable\"") && names.contains("\"other\"") && !names.contains("\"delete\""), "{names}");
}

#[tokio::test]
async fn fewer_scopes_and_a_new_secret_leave_tokens_as_they_are() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let (id, _) = a_client(&service, &admin, json!({ "name": "billing", "scopes": ["read"] })).await;
    let token = issue(&service.app, &id, None).await.unwrap();
    patch(&service, &admin, &id, json!({ "scopes": [] })).await.is(200);
    rotate(&service, &admin, &id, 0).await;
    service.check(&token).await.is(200);
}

#[tokio::test]
async fn nothing_is_issued_to_a_client_that_is_disabled_or_gone() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let (id, _) = a_client(&service, &admin, json!({ "name": "billing" })).await;
    let refused = async |id: &str| matches!(issue(&service.app, id, None).await, Err(Error::BadClient));
    patch(&service, &admin, &id, json!({ "disabled": true })).await.is(200);
    assert!(refused(&id).await);
    patch(&service, &admin, &id, json!({ "disabled": false })).await.is(200);
    assert!(!refused(&id).await);
    service.delete(&path(&id), Some(&admin)).await.is(204);
    assert!(refused(&id).await && refused("x").await && refused("\0").await);
}

/// A token is being made when its client is disabled or deleted. That has to wait: else it would not see the token, and the
/// token would live on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_a_client_waits_for_a_token_that_is_being_made() {
    let service = Service::start().await;
    let admin = service.admin().await;
    for end in ["disable", "delete", "log-out"] {
        let (id, _) = a_client(&service, &admin, json!({ "name": end })).await;
        let locked = Arc::new(Notify::new());
        let issued = {
            let (app, id, locked) = (Arc::clone(&service.app), id.clone(), Arc::clone(&locked));
            tokio::spawn(async move {
                let shared = Arc::clone(&app);
                write(&app, &daypass::audit::Actor::system(), move |write| {
                    Box::pin(async move {
                        client::lock_to_issue(write, &id).await?;
                        locked.notify_one();
                        // Long enough for whoever does not wait.
                        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                        insert(&shared, write, &id, None).await
                    })
                })
                .await
            })
        };
        locked.notified().await;
        let (app, now) = (&service.app, service.now());
        match end {
            "disable" => {
                let change = client::Change { disabled: Some(true), ..client::Change::default() };
                client::update(app, &id, change, &daypass::audit::Actor::system(), now).await.map(drop)
            }
            "delete" => client::delete(app, &id, &daypass::audit::Actor::system(), now).await,
            _ => {
                let owner = daypass::token::Owner::Client(id);
                daypass::account::users::end_tokens(
                    app,
                    owner,
                    vec![Kind::Client],
                    &daypass::audit::Actor::system(),
                    now,
                )
                .await
                .map(drop)
            }
        }
        .unwrap();
        service.check(&issued.await.unwrap().unwrap()).await.is(401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_issued_past_the_end_of_its_client() {
    let service = Service::start().await;
    let admin = service.admin().await;
    for round in 0..6 {
        let (id, _) = a_client(&service, &admin, json!({ "name": "billing" })).await;
        let mut issues = JoinSet::new();
        for _ in 0..10 {
            let (app, id) = (Arc::clone(&service.app), id.clone());
            issues.spawn(async move { issue(&app, &id, None).await });
        }
        tokio::task::yield_now().await;
        if round % 2 == 0 {
            patch(&service, &admin, &id, json!({ "disabled": true })).await.is(200);
        } else {
            service.delete(&path(&id), Some(&admin)).await.is(204);
        }
        for issued in issues.join_all().await {
            match issued {
                Ok(token) => drop(service.check(&token).await.is(401)),
                Err(error) => assert!(matches!(error, Error::BadClient), "{error}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_rotations_exactly_the_last_secret_lets_in() {
    let service = Arc::new(Service::start().await);
    let admin = service.admin().await;
    let (id, first) = a_client(&service, &admin, json!({ "name": "billing" })).await;
    let mut rotations = JoinSet::new();
    for _ in 0..8 {
        let (service, admin, id) = (Arc::clone(&service), admin.clone(), id.clone());
        rotations.spawn(async move { rotate(&service, &admin, &id, 0).await });
    }
    let mut working = 0;
    for secret in rotations.join_all().await.into_iter().chain([first]) {
        working += u32::from(is_let_in(&service, &id, &secret).await);
    }
    assert_eq!(working, 1);
}

async fn run(service: &Service, job: Job) -> i64 {
    maintenance::run(&service.app, job, Trigger::Cli, Manner::default(), &mut ()).await.unwrap().deleted_other
}

#[tokio::test]
async fn replaced_secrets_are_forgotten_once_their_overlap_is_over() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let (id, _) = a_client(&service, &admin, json!({ "name": "billing" })).await;
    rotate(&service, &admin, &id, 60).await;
    let row = async || client::find(service.app.db.reader(), &id).await.unwrap();
    let before = row().await;
    assert!(before.previous_digest.is_some() && before.previous_expires_at.is_some());
    for (millis, forgotten) in [(120_000, 0), (1, 1)] {
        service.advance_ms(millis);
        assert_eq!(run(&service, Job::Rotations).await, forgotten);
    }
    assert_eq!(row().await, client::Model { previous_digest: None, previous_expires_at: None, ..before });
}

#[tokio::test]
async fn a_deleted_clients_row_goes_with_the_purge_after_its_tokens() {
    let service = Service::with(|config| {
        config.tokens.session.ttl = days(30);
        config.maintenance.retain_revoked = seconds(3600);
    })
    .await;
    let admin = service.admin().await;
    let (kept, _) = a_client(&service, &admin, json!({ "name": "kept" })).await;
    let (id, _) = a_client(&service, &admin, json!({ "name": "gone" })).await;
    issue(&service.app, &id, None).await.unwrap();
    issue(&service.app, &kept, None).await.unwrap();
    service.delete(&path(&id), Some(&admin)).await.is(204);
    // Deleted in vain: its token is still needed to tell whoever holds it that it was revoked.
    let late = service.now().plus_seconds(-7200);
    let mut row = entity::client::Entity::find_by_id(&id).one(service.app.db.reader()).await.unwrap().unwrap();
    row.deleted_at = Some(late);
    let update = entity::client::Entity::update(row.into_active_model().reset_all());
    update.exec_without_returning(service.app.db.writer()).await.unwrap();
    let rows = async || entity::client::Entity::find().count(service.app.db.reader()).await.unwrap();
    assert_eq!((run(&service, Job::Purge).await, rows().await), (0, 2));
    service.advance(seconds(3601));
    assert_eq!((run(&service, Job::Purge).await, rows().await), (1, 1));
    assert_eq!(service.get("/v1/clients", Some(&admin)).await.member("items")[0]["client_id"], kept.as_str());
}

/// Whoever asks is not told that there is no such client when that is not known.
#[tokio::test]
async fn a_database_that_fails_is_no_wrong_answer() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let (id, secret) = a_client(&service, &admin, json!({ "name": "billing" })).await;
    service.app.db.writer().execute_unprepared("DROP TABLE client").await.unwrap();
    let answer = client::authenticate(&service.app, &id, &secret, service.now()).await;
    assert!(matches!(answer, Err(Error::Storage(_))), "{answer:?}");
    let answer = issue(&service.app, &id, None).await;
    assert!(matches!(answer, Err(Error::Storage(_))), "{answer:?}");
    service.get("/v1/clients", Some(&admin)).await.is_problem(503);
    service.post("/v1/clients", Some(&admin), json!({ "name": "x" })).await.is_problem(503);
    service.get(&path(&id), Some(&admin)).await.is_problem(503);
    patch(&service, &admin, &id, json!({ "disabled": true })).await.is_problem(503);
    service.delete(&path(&id), Some(&admin)).await.is_problem(503);
    service.post(&format!("{}/rotate-secret", path(&id)), Some(&admin), json!({})).await.is_problem(503);
}

/// The token table may be large, and hold few tokens of clients.
#[tokio::test]
async fn the_tokens_of_a_client_are_found_by_an_index() {
    use sea_orm::{ColumnTrait, DatabaseBackend, QueryFilter, QueryTrait, Statement};

    let service = Service::on(Database::in_a_file(), |_| ()).await;
    let writer = service.app.db.writer();
    let theirs = token::Entity::find()
        .filter(token::Column::ClientId.eq("x"))
        .filter(token::Column::RevokedAt.is_null())
        .build(DatabaseBackend::Sqlite);
    for rows in [1, 100] {
        service.fill(rows, rows).await;
        writer.execute_unprepared("ANALYZE").await.unwrap();
        let explain = Statement { sql: format!("EXPLAIN QUERY PLAN {}", theirs.sql), ..theirs.clone() };
        let plan = writer.query_all_raw(explain).await.unwrap();
        let steps: Vec<String> = plan.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
        assert!(steps.iter().all(|step| step.contains("USING INDEX token_client ")), "{steps:?}");
    }
    assert_eq!(service.app.db.engine(), Engine::Sqlite);
}
