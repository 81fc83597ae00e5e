//! `/v1/users`.

use poem::http::Method;
use serde_json::json;

use crate::support::{PASSWORD, Service};

#[tokio::test]
async fn administrators_make_look_at_and_change_users() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let wanted = json!({ "username": "Alice", "password": PASSWORD, "scopes": ["read"] });
    let made = service.post("/v1/users", Some(&admin), wanted).await;
    made.is(201);
    let mut shown = made.json();
    assert_eq!(shown.as_object_mut().unwrap().remove("id").unwrap().as_str().unwrap().len(), 36);
    let expected = json!({
        "username": "Alice",
        "scopes": ["read"],
        "disabled": false,
        "created_at": "2026-11-24T09:00:00.000Z",
        "last_login_at": null,
    });
    assert_eq!(shown, expected);
    let path = format!("/v1/users/{}", made.text_of("id"));
    assert_eq!(service.get(&path, Some(&admin)).await.is(200).json(), made.json());
    let changed = service.json(Method::PATCH, &path, Some(&admin), json!({ "scopes": ["write"] })).await;
    assert_eq!((changed.member("scopes"), changed.member("disabled")), (json!(["write"]), json!(false)));
    service.get("/v1/users/x", Some(&admin)).await.is_about(400, "id");
    service.get("/v1/users/019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e", Some(&admin)).await.is_problem(404);
}

#[tokio::test]
async fn nobody_else_does() {
    let service = Service::start().await;
    let alice = service.session("alice", &["read"]).await;
    let id = service.get("/v1/me", Some(&alice)).await.json()["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/users/{id}");
    let refused = service.get("/v1/users", Some(&alice)).await;
    assert!(refused.is_problem(403).header("www-authenticate").contains("scope=\"daypass:admin\""));
    service.get(&path, Some(&alice)).await.is_problem(403);
    service.delete(&path, Some(&alice)).await.is_problem(403);
    service.json(Method::PATCH, &path, Some(&alice), json!({ "scopes": ["daypass:admin"] })).await.is_problem(403);
    service.post("/v1/users", Some(&alice), json!({ "username": "x", "password": PASSWORD })).await.is_problem(403);
}

#[tokio::test]
async fn names_are_unique_without_regard_to_case() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.user("alice", &[]).await;
    let again = json!({ "username": "ALICE", "password": PASSWORD });
    service.post("/v1/users", Some(&admin), again).await.is_problem(409);
    service.login("aLiCe", json!({})).await.is(200);
}

#[tokio::test]
async fn look_alikes_and_control_characters_are_no_names() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let long = "x".repeat(151);
    for name in
        ["", " ", "alice ", "al\u{131}ce", "\u{ff41}lice", "a\u{301}", "a\nb", "a\0b", "a/b", "deleted:x", &long]
    {
        let body = json!({ "username": name, "password": PASSWORD });
        service.post("/v1/users", Some(&admin), body).await.is_about(422, "username");
    }
    service.post("/v1/users", Some(&admin), json!({ "username": "a.b_c@d+e-1", "password": PASSWORD })).await.is(201);
}

/// Which name is whose is decided by Daypass, and not by how a database compares letters.
#[tokio::test]
async fn no_name_that_only_looks_like_anothers_is_theirs() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.user("alice.iris-kai@example", &[]).await;
    let strangers = [
        "al\u{131}ce.iris-kai@example",
        "AL\u{130}CE.IRIS-KAI@EXAMPLE",
        "\u{ff41}lice.iris-kai@example",
        "\u{430}lice.iris-kai@example",
        "alic\u{e9}.iris-kai@example",
        "alice\u{301}.iris-kai@example",
        "a\u{200b}lice.iris-kai@example",
        "alice.iri\u{17f}-kai@example",
        "alice.iris-\u{212a}ai@example",
        "alice.iris-kai@example ",
        " alice.iris-kai@example",
        "alice.iris-kai@example\0",
        "alice.iris-kai@exampl_",
        "alice.iris-kai@exampl%",
    ];
    for name in strangers {
        service.login(name, json!({})).await.is_problem(401);
        assert_eq!(service.issue(&admin, json!({ "user": name })).await.is(422).json()["errors"][0]["field"], "user");
        let mut path = url::Url::parse("x:/v1/tokens").unwrap();
        path.query_pairs_mut().append_pair("user", name);
        assert_eq!(service.get(&path.as_str()[2..], Some(&admin)).await.is(200).member("items"), json!([]), "{name:?}");
    }
    // Nor do failures under such names count against anybody.
    for name in strangers.iter().chain(&strangers) {
        service.login(name, json!({ "password": "wrong" })).await;
    }
    service.login("ALICE.Iris-KAI@example", json!({})).await.is(200);
}

#[tokio::test]
async fn disabling_and_an_administrators_new_password_end_every_token() {
    let service = Service::start().await;
    let admin = service.admin().await;
    for (name, change) in
        [("alice", json!({ "disabled": true })), ("bob", json!({ "password": "another fine long phrase" }))]
    {
        let session = service.session(name, &["read"]).await;
        let api = service.issue(&session, json!({})).await.token();
        let id = service.get("/v1/me", Some(&session)).await.json()["user"]["id"].as_str().unwrap().to_owned();
        service.json(Method::PATCH, &format!("/v1/users/{id}"), Some(&admin), change).await.is(200);
        service.check(&session).await.is(401);
        service.check(&api).await.is(401);
        service.login(name, json!({})).await.is(401);
        service
            .json(Method::PATCH, &format!("/v1/users/{id}"), Some(&admin), json!({ "disabled": false }))
            .await
            .is(200);
        service.check(&api).await.is(401);
    }
    service.login("alice", json!({})).await.is(200);
    service.issue(&admin, json!({ "user": "alice" })).await.is(201);
}

#[tokio::test]
async fn a_disabled_user_is_issued_nothing() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let alice = service.session("alice", &[]).await;
    let id = service.get("/v1/me", Some(&alice)).await.json()["user"]["id"].as_str().unwrap().to_owned();
    service.json(Method::PATCH, &format!("/v1/users/{id}"), Some(&admin), json!({ "disabled": true })).await.is(200);
    service.issue(&admin, json!({ "user": "alice" })).await.is_problem(409);
}

#[tokio::test]
async fn a_deleted_user_is_gone_and_the_name_is_free() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let session = service.session("alice", &["read"]).await;
    let id = service.get("/v1/me", Some(&session)).await.json()["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/users/{id}");
    service.delete(&path, Some(&admin)).await.is(204);
    service.check(&session).await.is(401);
    service.get(&path, Some(&admin)).await.is_problem(404);
    service.delete(&path, Some(&admin)).await.is_problem(404);
    service.login("alice", json!({})).await.is(401);
    let listed = service.get("/v1/users", Some(&admin)).await;
    assert!(!listed.text.contains("alice"));
    let again = service.session("alice", &[]).await;
    assert_eq!(service.get("/v1/tokens", Some(&again)).await.member("items").as_array().unwrap().len(), 1);
    service.check(&session).await.is(401);
}

#[tokio::test]
async fn users_are_paged() {
    let service = Service::start().await;
    let admin = service.admin().await;
    for name in ["a", "b", "c"] {
        service.advance_ms(1);
        service.user(name, &[]).await;
    }
    let first = service.get("/v1/users?limit=3", Some(&admin)).await;
    let names = |answer: &crate::support::Answer| -> Vec<String> {
        let items = answer.member("items");
        items.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["c", "b", "a"]);
    let rest = service.get(&format!("/v1/users?cursor={}", first.text_of("next_cursor")), Some(&admin)).await;
    assert_eq!((names(&rest), rest.member("next_cursor")), (vec!["admin".to_owned()], json!(null)));
}
