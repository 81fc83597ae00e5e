//! Token revocation (RFC 7009).

use std::sync::Arc;

use poem::http::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Client, FORM, basic};
use crate::support::{Service, seconds};

/// A service with a user, and a client that may introspect: the pair that it was granted.
async fn granted() -> (Service, Client, String, String) {
    let service = Service::with_every_grant().await;
    let client = service.client(&["read", "daypass:introspect"]).await;
    service.user("alice", &["read"]).await;
    let answer = service.password_grant(&client, "alice").await;
    let (access, refresh) = (answer.text_of("access_token"), answer.text_of("refresh_token"));
    (service, client, access, refresh)
}

#[tokio::test]
async fn r1_only_a_post_of_a_form_is_answered() {
    let (service, client, access, _) = granted().await;
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH] {
        let path = format!("/oauth/revoke?token={access}");
        let answer = service.send(method, &path, &[client.basic()], "").await;
        assert_eq!(answer.is_error(405, "invalid_request").header("allow"), "POST");
    }
    for media_type in ["application/json", "text/plain", ""] {
        let headers = [client.basic(), ("content-type", media_type.to_owned())];
        let body = format!("token={access}");
        service.send(Method::POST, "/oauth/revoke", &headers, body).await.is_error(400, "invalid_request");
    }
    service.check(&access).await.is(200);
}

#[tokio::test]
async fn r2_an_access_token_ends_with_200_and_an_empty_body() {
    let (service, client, access, _) = granted().await;
    service.check(&access).await.is(200);
    assert_eq!(service.revoke(Some(&client), &access).await.is(200).text, "");
    service.check(&access).await.is(401);
    let own = service.client_credentials(&client).await;
    service.revoke(Some(&client), &own).await.is(200);
    service.check(&own).await.is(401);
}

#[tokio::test]
async fn r3_a_token_that_is_not_there_is_no_error() {
    let (service, client, access, refresh) = granted().await;
    for token in [&access, &refresh] {
        for _ in 0..2 {
            service.revoke(Some(&client), token).await.is(200);
        }
    }
    let brief = {
        let session = service.login("alice", json!({})).await.token();
        service.issue(&session, json!({ "ttl": 1 })).await.token()
    };
    service.advance(seconds(1));
    for token in [brief.as_str(), "x", "dps_0", "dpr_0", "\u{1f511}", &client.secret] {
        for client in [Some(&client), None] {
            assert_eq!(service.revoke(client, token).await.is(200).text, "");
        }
    }
}

/// What we chose where RFC 7009 §2.1 leaves it open: a client that hands back an access token goes on.
#[tokio::test]
async fn r4_with_a_refresh_token_end_its_access_tokens_and_not_the_other_way_round() {
    let (service, client, access, refresh) = granted().await;
    service.revoke(Some(&client), &access).await.is(200);
    let traded = service.refresh_as(&client, &refresh).await;
    let (next_access, next_refresh) = (traded.is(200).text_of("access_token"), traded.text_of("refresh_token"));
    service.revoke(Some(&client), &next_refresh).await.is(200);
    service.check(&next_access).await.is(401);
    service.refresh_as(&client, &next_refresh).await.is_error(400, "invalid_grant");
    // Also by the spent one: whoever logs out may not have heard of the trade. Nothing that came of the login is left.
    let (first_access, first) = service.login_with_refresh("alice").await;
    let (second_access, second) = service.traded(&first).await;
    service.revoke(None, &first).await.is(200);
    for token in [&first_access, &second_access] {
        service.check(token).await.is(401);
    }
    service.refresh(&second).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn r5_a_wrong_hint_does_not_save_a_token() {
    let (service, client, access, refresh) = granted().await;
    let end = async |token: &str, hint: &str| {
        service.oauth("/oauth/revoke", &[client.basic()], &[("token", token), ("token_type_hint", hint)]).await
    };
    end(&access, "refresh_token").await.is(200);
    service.check(&access).await.is(401);
    end(&refresh, "access_token").await.is(200);
    service.refresh_as(&client, &refresh).await.is_error(400, "invalid_grant");
    let own = service.client_credentials(&client).await;
    end(&own, "foo").await.is(200);
    service.check(&own).await.is(401);
}

#[tokio::test]
async fn r6_another_clients_token_is_refused_and_stays() {
    let (service, client, access, refresh) = granted().await;
    let other = service.client(&["read"]).await;
    let own = service.client_credentials(&client).await;
    for token in [&access, &refresh, &own] {
        service.revoke(Some(&other), token).await.is_error(400, "unauthorized_client");
    }
    service.check(&access).await.is(200);
    service.check(&own).await.is(200);
    service.refresh_as(&client, &refresh).await.is(200);
    // What was issued to no client is whoever's that holds it.
    let (session, refresh) = service.login_with_refresh("alice").await;
    service.revoke(Some(&other), &session).await.is(200);
    service.check(&session).await.is(401);
    service.revoke(None, &refresh).await.is(200);
    service.refresh(&refresh).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn r7_who_revokes_and_what_must_be_told() {
    let (service, client, access, refresh) = granted().await;
    service.oauth("/oauth/revoke", &[client.basic()], &[]).await.is_error(400, "invalid_request");
    service.revoke(Some(&client), "").await.is_error(400, "invalid_request");
    service.revoke(None, "").await.is_error(400, "invalid_request");
    let wrong = Client { secret: "wrong".to_owned(), ..client.clone() };
    for token in [access.as_str(), "x"] {
        let answer = service.revoke(Some(&wrong), token).await;
        assert_eq!(answer.is_error(401, "invalid_client").header("www-authenticate"), "Basic realm=\"daypass\"");
    }
    // Nobody but its client ends what was issued to one.
    for token in [&access, &refresh] {
        service.revoke(None, token).await.is_error(401, "invalid_client");
    }
    let named = [("token", access.as_str()), ("client_id", &client.id)];
    service.oauth("/oauth/revoke", &[], &named).await.is_error(401, "invalid_client");
    service.check(&access).await.is(200);
    let [id, secret] = client.in_body();
    service.oauth("/oauth/revoke", &[], &[named[0], id, secret]).await.is(200);
    service.check(&access).await.is(401);
}

#[tokio::test]
async fn r7_whoever_comes_without_a_client_is_limited() {
    let service = Service::with(|config| config.limits.login_per_minute_per_ip = 2).await;
    let client = service.client(&["read"]).await;
    for _ in 0..2 {
        service.revoke(None, "x").await.is(200);
    }
    let answer = service.revoke(None, "x").await;
    assert_eq!(answer.is_error(429, "temporarily_unavailable").header("retry-after"), "60");
    service.revoke(Some(&client), "x").await.is(200);
}

#[tokio::test]
async fn r8_what_was_not_committed_is_503() {
    let (service, client, access, refresh) = granted().await;
    let replica = service.replica().await;
    service.app.db.close().await;
    for token in [&access, &refresh] {
        let answer = service.revoke(Some(&client), token).await;
        assert!(!answer.is_error(503, "temporarily_unavailable").header("retry-after").is_empty());
        let answer = service.revoke(None, token).await;
        assert!(!answer.is_error(503, "temporarily_unavailable").header("retry-after").is_empty());
    }
    // And nothing has ended.
    replica.check(&access).await.is(200);
    replica.refresh_as(&client, &refresh).await.is(200);
}

/// Nothing else fails than the one statement that ends the token.
#[tokio::test]
async fn r8_a_write_that_fails_is_503() {
    let (service, client, access, refresh) = granted().await;
    service.break_storage("UPDATE", "token").await;
    for token in [&access, &refresh] {
        service.revoke(Some(&client), token).await.is_error(503, "temporarily_unavailable");
    }
    service.check(&access).await.is(200);
    service.mend_storage("token").await;
    service.refresh_as(&client, &refresh).await.is(200);
}

#[tokio::test]
async fn r9_after_it_every_door_refuses_at_once() {
    let (service, client, access, refresh) = granted().await;
    service.check(&access).await.is(200);
    assert_eq!(service.introspect(&client, &access).await.member("active"), true);
    service.revoke(Some(&client), &refresh).await.is(200);
    for _ in 0..1000 {
        service.check(&access).await.is(401);
    }
    service.introspect(&client, &access).await.is_inactive();
    service.introspect(&client, &refresh).await.is_inactive();
    service.get("/v1/me", Some(&access)).await.is(401);
    service.get("/api/protected/", Some(&access)).await.is(401);
    service.refresh_as(&client, &refresh).await.is_error(400, "invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_twenty_at_once_are_one() {
    let (service, client, access, refresh) = granted().await;
    let service = Arc::new(service);
    let id = service.check(&access).await.text_of("id");
    for token in [access, refresh] {
        let mut all = JoinSet::new();
        for _ in 0..20 {
            let (service, client, token) = (Arc::clone(&service), client.clone(), token.clone());
            all.spawn(async move { service.revoke(Some(&client), &token).await });
        }
        for answer in all.join_all().await {
            answer.is(200);
        }
    }
    // It keeps the time it was revoked.
    let admin = service.admin().await;
    service.advance(seconds(5));
    let shown = service.get(&format!("/v1/tokens/{id}"), Some(&admin)).await;
    assert_eq!(shown.is(200).member("revoked_at"), "2026-11-24T09:00:00.000Z");
}

#[tokio::test]
async fn r11_no_callback_is_called() {
    let (service, client, access, _) = granted().await;
    let path = format!("/oauth/revoke?token={access}&callback=f");
    service.send(Method::GET, &path, &[client.basic()], "").await.is(405);
    let headers = [client.basic(), ("content-type", FORM.to_owned())];
    let answer = service.send(Method::POST, "/oauth/revoke", &headers, format!("token={access}&callback=f")).await;
    assert_eq!(answer.is(200).text, "");
    let answer = service.oauth("/oauth/revoke", &[basic("x", "y")], &[("token", "x"), ("callback", "f")]).await;
    answer.is_error(401, "invalid_client");
}
