//! `/v1/check`: what stands in front of other services.

use poem::http::Method;
use serde_json::json;

use crate::support::{Answer, Service, seconds};

const IDENTITY: [&str; 5] =
    ["remote-user", "x-daypass-user-id", "x-daypass-token-id", "x-daypass-scope", "x-daypass-expires-at"];

async fn with(service: &Service, method: Method, authorization: &str) -> Answer {
    service.send(method, "/v1/check", &[("authorization", authorization.to_owned())], "").await
}

#[tokio::test]
async fn three_header_forms_and_three_methods() {
    let service = Service::start().await;
    let token = service.session("alice", &["read", "write"]).await;
    for form in [format!("Bearer {token}"), format!("bEARER {token}"), format!("Token {token}"), token.clone()] {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let answer = with(&service, method, &form).await;
            answer.is(200);
            let values: Vec<_> = IDENTITY.iter().map(|name| answer.header(name)).collect();
            assert_eq!((values[0], values[3], values[4]), ("alice", "read write", "2026-11-24T19:00:00.000Z"));
            assert!(values[1].len() == 36 && values[2].len() == 36);
            assert_eq!(answer.header("cache-control"), "private, max-age=0");
        }
    }
    let body = with(&service, Method::GET, &token).await.json();
    assert_eq!((&body["active"], &body["kind"]), (&json!(true), &json!("session")));
}

#[tokio::test]
async fn every_identity_header_is_on_every_200() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let answer = service.check(&token).await;
    for name in IDENTITY {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name}");
    }
    assert_eq!(answer.header("x-daypass-scope"), "");
}

#[tokio::test]
async fn it_answers_nothing_but_200_401_403_and_503() {
    let service = Service::start().await;
    let token = service.session("alice", &["read"]).await;
    let bare = service.get("/v1/check", None).await;
    assert_eq!(bare.is_problem(401).header("www-authenticate"), "Bearer realm=\"daypass\"");
    for none in ["", "Bearer", "Basic YTpi", "Token "] {
        assert_eq!(with(&service, Method::GET, none).await.header("www-authenticate"), "Bearer realm=\"daypass\"");
    }
    for bad in ["Bearer x", "Bearer a b", "Bearer dps_", "x", &format!("Bearer {token}, Bearer {token}"), &token[1..]] {
        let answer = with(&service, Method::GET, bad).await;
        assert!(answer.is_problem(401).header("www-authenticate").contains("error=\"invalid_token\""), "{bad}");
    }
    let two = [("authorization", format!("Bearer {token}")), ("authorization", format!("Bearer {token}"))];
    service.send(Method::GET, "/v1/check", &two, "").await.is_problem(401);
    let upload = "x".repeat(1_000_000);
    let headers = [("authorization", token), ("content-type", "nonsense".to_owned())];
    service.send(Method::POST, "/v1/check", &headers, upload).await.is(200);
}

#[tokio::test]
async fn a_token_in_the_query_is_never_read() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    for name in ["access_token", "token", "authorization"] {
        service.get(&format!("/v1/check?{name}={token}"), None).await.is_problem(401);
        service.get(&format!("/v1/me?{name}={token}"), None).await.is_problem(401);
    }
}

#[tokio::test]
async fn all_scopes_asked_for_are_needed() {
    let service = Service::start().await;
    let token = service.session("alice", &["read", "write"]).await;
    let ask = async |query: &str| service.get(&format!("/v1/check{query}"), Some(&token)).await;
    for held in ["", "?scope=read", "?scope=read&scope=write", "?scope=read%20write", "?scope="] {
        ask(held).await.is(200);
    }
    for (lacking, named) in [("?scope=admin", "admin"), ("?scope=read&scope=admin", "read admin")] {
        let answer = ask(lacking).await;
        let challenge = format!("Bearer realm=\"daypass\", error=\"insufficient_scope\", scope=\"{named}\"");
        assert_eq!(answer.is_problem(403).header("www-authenticate"), challenge);
    }
    let quoted = ask("?scope=a%22b").await;
    assert!(!quoted.is_problem(403).header("www-authenticate").contains("a\"b"));
}

#[tokio::test]
async fn a_proxy_may_remember_no_longer_than_the_token_lives() {
    let service = Service::with(|config| config.check.proxy_max_age = seconds(10)).await;
    let token = service.session("alice", &[]).await;
    assert_eq!(service.check(&token).await.header("cache-control"), "private, max-age=10");
    service.advance(seconds(36_000 - 4));
    assert_eq!(service.check(&token).await.header("cache-control"), "private, max-age=4");
    service.advance_ms(3_500);
    assert_eq!(service.check(&token).await.header("cache-control"), "private, max-age=0");
}

#[tokio::test]
async fn a_refresh_token_opens_nothing() {
    let service = Service::start().await;
    service.user("alice", &["read"]).await;
    let alice = daypass::account::users::find_by_name(service.app.db.reader(), "alice").await.unwrap().unwrap();
    let kind = daypass::token::Kind::Refresh;
    let wanted = daypass::token::issue::Wanted::default();
    let scopes = alice.scopes.clone();
    let now = service.now();
    let app = std::sync::Arc::clone(&service.app);
    let by = daypass::audit::Actor::system();
    let issued = daypass::write::write(&service.app, &by, move |write| {
        Box::pin(async move { daypass::token::issue::issue(&app, write, &alice, kind, &wanted, scopes, now).await })
    });
    let issued = issued.await.unwrap();
    let refused = service.check(issued.secret.expose()).await;
    assert!(refused.is_problem(401).header("www-authenticate").contains("error=\"invalid_token\""));
    service.get("/v1/me", Some(issued.secret.expose())).await.is_problem(401);
}

#[tokio::test]
async fn a_prefix_of_old_is_still_accepted() {
    let service = Service::start().await;
    let old = service.session("alice", &[]).await;
    let mut config = service.app.config.clone();
    config.tokens.prefix = "acme".to_owned();
    for (previous, status) in [(vec!["dp".to_owned()], 200), (vec![], 401)] {
        config.tokens.previous_prefixes = previous;
        let app = daypass::app::App::open(config.clone(), service.app.clock.clone()).await.unwrap();
        let checked = daypass::token::check::check(&app, &old, service.now()).await;
        assert_eq!(checked.is_ok(), status == 200, "{checked:?}");
    }
}

/// Envoy asks with the method of the request it asks about, and appends its path.
#[tokio::test]
async fn any_method_and_anything_behind_the_path_is_a_check() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        with(&service, method, &token).await.is(200);
    }
    service.get("/v1/check/orders/7?scope=", Some(&token)).await.is(200);
    service.get("/v1/check/orders/7", None).await.is_problem(401);
    service.get("/v1/checks", Some(&token)).await.is_problem(404);
}

/// The check writes its answer by itself; the document describes types that it does not use. Both say the same.
#[tokio::test]
async fn the_answer_is_the_one_that_is_documented() {
    let service = Service::start().await;
    let session = service.session("alice", &["read"]).await;
    let api = service.issue(&session, json!({ "name": "a \"name\"", "idle_timeout": 90 })).await.token();
    let document: serde_json::Value = serde_json::from_str(daypass::api::openapi::json()).unwrap();
    for token in [session, api] {
        let answer = service.check(&token).await;
        let looked_at = service.get("/v1/tokens/current", Some(&token)).await.text;
        assert_eq!(answer.text, looked_at.replacen('{', "{\"active\":true,", 1), "member for member");
        for (path, method, operation) in [
            ("/v1/check", Method::GET, "get"),
            ("/v1/check", Method::HEAD, "head"),
            ("/v1/check", Method::POST, "post"),
        ] {
            let answer = with(&service, method, &token).await;
            let documented = &document["paths"][path][operation]["responses"];
            let headers = documented["200"]["headers"].as_object().unwrap();
            assert!(headers.len() >= 7, "{headers:?}");
            for name in headers.keys() {
                assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{operation}: {name}");
            }
            let statuses: Vec<_> = documented.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(statuses, ["200", "401", "403", "503"], "{operation}");
            let media_type = documented["200"]["content"].as_object().and_then(|content| content.keys().next());
            assert_eq!(media_type.is_none(), operation == "head", "an answer without a body has none to describe");
            assert!(answer.header("content-type").starts_with(media_type.map_or("application/json", String::as_str)));
        }
    }
}

#[tokio::test]
async fn a_slash_at_the_end_makes_no_difference() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let bearer = [("authorization", format!("Bearer {token}"))];
    for path in ["/v1/check", "/v1/check/"] {
        let answer = service.send(Method::POST, path, &bearer, "x".repeat(65 * 1024)).await;
        assert_eq!(answer.is(200).header("vary"), "Authorization", "{path}");
    }
}

/// What strangers say a request was, or who they are, changes no answer: not even where a proxy is trusted with addresses.
#[tokio::test]
async fn no_header_but_the_credential_changes_an_answer() {
    for trusted in [vec![], vec!["127.0.0.0/8".parse().unwrap()]] {
        let service = Service::with(|config| config.trusted_proxies = trusted).await;
        let token = service.session("alice", &["read"]).await;
        let id = service.check(&token).await.text_of("id");
        let mut spoofed: Vec<(&str, String)> = Vec::new();
        for name in IDENTITY.into_iter().chain(["x_daypass_user_id", "remote_user", "x-auth-user", "x_auth_user"]) {
            spoofed.push((name, "admin".to_owned()));
        }
        for name in ["x-forwarded-uri", "x-original-uri", "x-original-url", "x-rewrite-url", "x-forwarded-prefix"] {
            spoofed.push((name, "/v1/users?scope=daypass:admin".to_owned()));
        }
        for name in ["x-forwarded-method", "x-original-method", "x-http-method-override", "x-method-override"] {
            spoofed.push((name, "DELETE".to_owned()));
        }
        for name in ["x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host", "x-forwarded-proto", "host"] {
            spoofed.push((name, "evil.example".to_owned()));
        }
        spoofed.push(("x-access-token", token.clone()));
        spoofed.push(("cookie", format!("token={token}; session={token}; access_token={token}")));
        spoofed.push(("proxy-authorization", format!("Bearer {token}")));
        let told = |answer: Answer| {
            let mut headers = answer.headers;
            headers.remove("x-request-id");
            (answer.status, headers, answer.text)
        };
        for path in
            ["/v1/check", "/v1/check?scope=write", "/v1/me", "/v1/users", "/healthz", &format!("/v1/tokens/{id}")]
        {
            for credential in [None, Some(&token)] {
                let mut headers: Vec<_> =
                    credential.map(|token| ("authorization", format!("Bearer {token}"))).into_iter().collect();
                let plain = told(service.send(Method::GET, path, &headers, "").await);
                headers.extend(spoofed.iter().cloned());
                assert_eq!(told(service.send(Method::GET, path, &headers, "").await), plain, "{path}");
            }
        }
        service.check(&token).await.is(200);
    }
}
