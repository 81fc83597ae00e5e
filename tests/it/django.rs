//! The doors for clients written against Django.

use poem::http::Method;
use serde_json::json;

use crate::support::{Answer, PASSWORD, Service, seconds};

async fn ask(service: &Service, method: Method, path: &str, authorization: &str) -> Answer {
    let headers = match authorization {
        "" => vec![],
        value => vec![("authorization", value.to_owned())],
    };
    service.send(method, path, &headers, "").await
}

#[tokio::test]
async fn the_seeds_four_pairs_work() {
    let service = Service::start().await;
    service.user("admin", &[]).await;
    let by_json = service.post("/api/login/", None, json!({ "username": "admin", "password": PASSWORD })).await;
    assert_eq!(by_json.is(200).json().as_object().unwrap().len(), 1);
    let protected = ask(&service, Method::GET, "/api/protected/", &format!("Token {}", by_json.token())).await;
    assert_eq!(protected.is(200).json(), json!({ "message": "You have access to this protected endpoint." }));

    let form = format!("username=admin&password={}", PASSWORD.replace(' ', "+"));
    let by_form = service.form("/custom_login/", &form).await;
    let view = ask(&service, Method::GET, "/protected_view/", &by_form.token()).await;
    assert_eq!(view.is(200).json(), json!({ "message": "Welcome, you are authenticated!" }));
}

#[tokio::test]
async fn bad_credentials_get_each_doors_own_words() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    for body in [
        json!({ "username": "alice", "password": "wrong" }),
        json!({ "username": "alice" }),
        json!({ "username": "", "password": "" }),
        json!({}),
    ] {
        let api = service.post("/api/login/", None, body.clone()).await;
        assert_eq!(api.is(401).json(), json!({ "error": "Invalid Credentials" }));
        let custom = service.post("/custom_login/", None, body).await;
        assert_eq!(custom.is(401).json(), json!({ "error": "Invalid credentials" }));
    }
    let wrong = json!({ "username": "alice", "password": "wrong" });
    let unable = json!({ "non_field_errors": ["Unable to log in with provided credentials."] });
    for path in ["/api-token-auth/", "/api/auth/login/"] {
        assert_eq!(service.post(path, None, wrong.clone()).await.is(400).json(), unable);
        let missing = service.post(path, None, json!({ "password": "x" })).await;
        assert_eq!(missing.is(400).json(), json!({ "username": ["This field is required."] }));
        for blank in ["", " "] {
            let blank = service.post(path, None, json!({ "username": blank, "password": "" })).await;
            let words = json!(["This field may not be blank."]);
            assert_eq!(blank.is(400).json(), json!({ "username": words, "password": words }));
        }
        let blank = service.form(path, "username=&password=x").await;
        assert_eq!(blank.is(400).json(), json!({ "username": ["This field may not be blank."] }));
        let both = service.form(path, "").await;
        assert_eq!(both.is(400).json()["password"], json!(["This field is required."]));
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_both_media_types_read() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    let body = json!({ "username": "alice", "password": PASSWORD, "remember": true });
    let form = format!("username=alice&password={}&next=/", PASSWORD.replace(' ', "%20"));
    for path in ["/api/login/", "/api-token-auth/", "/custom_login/", "/api/auth/login/", "/api/login", "/custom_login"]
    {
        service.post(path, None, body.clone()).await.is(200);
        service.form(path, &form).await.is(200);
    }
    let headers = [("content-type", "text/plain".to_owned())];
    let other = service.send(Method::POST, "/api-token-auth/", &headers, "x").await;
    assert_eq!(other.is(415).json(), json!({ "detail": "Unsupported media type \"text/plain\" in request." }));
    let broken = service.form("/api/login/", "username=%zz").await;
    assert!(broken.is(400).text_of("detail").starts_with("Form parse error"));
    let headers = [("content-type", "application/json".to_owned())];
    let broken = service.send(Method::POST, "/api/login/", &headers, "{").await;
    assert!(broken.is(400).text_of("detail").starts_with("JSON parse error"));
}

#[tokio::test]
async fn a_token_that_does_not_work_gets_rest_frameworks_words() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let path = "/api/protected/";
    for (authorization, words) in [
        ("", "Authentication credentials were not provided."),
        ("Basic YTpi", "Authentication credentials were not provided."),
        ("Token", "Invalid token header. No credentials provided."),
        ("Token a b", "Invalid token header. Token string should not contain spaces."),
        ("Token nonsense", "Invalid token."),
        ("Token caf\u{e9}", "Invalid token header. Token string should not contain invalid characters."),
        ("Token caf\u{e9} b", "Invalid token header. Token string should not contain spaces."),
    ] {
        let answer = ask(&service, Method::GET, path, authorization).await;
        assert_eq!(answer.is(401).json(), json!({ "detail": words }), "{authorization}");
        assert_eq!(answer.header("www-authenticate"), "Token");
    }
    for (authorization, words) in [("", "Token missing"), ("nonsense", "Invalid token"), ("Token a b", "Invalid token")]
    {
        let answer = ask(&service, Method::GET, "/protected_view/", authorization).await;
        assert_eq!(answer.is(401).json(), json!({ "error": words }), "{authorization}");
    }
    service.advance(seconds(36_000));
    let expired = ask(&service, Method::GET, path, &format!("Token {token}")).await;
    assert_eq!(expired.is(401).json(), json!({ "detail": "Invalid token." }));
    let expired = ask(&service, Method::GET, "/protected_view/", &token).await;
    assert_eq!(expired.is(401).json(), json!({ "error": "Invalid token" }));
}

#[tokio::test]
async fn knox_logs_in_and_out() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    // base64 of `alice:correct horse battery staple`, and of `alice:wrong`
    let basic = "Basic YWxpY2U6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==";
    let login = ask(&service, Method::POST, "/api/auth/login/", basic).await;
    let mut shown = login.is(200).json();
    let token = shown.as_object_mut().unwrap().remove("token").unwrap().as_str().unwrap().to_owned();
    assert_eq!(shown, json!({ "expiry": "2026-11-24T19:00:00.000Z", "user": { "username": "alice" } }));
    let wrong = ask(&service, Method::POST, "/api/auth/login/", "Basic YWxpY2U6d3Jvbmc=").await;
    assert_eq!(wrong.is(401).json(), json!({ "detail": "Invalid username/password." }));
    assert_eq!(wrong.header("www-authenticate"), "Basic realm=\"api\"");

    ask(&service, Method::POST, "/api/auth/logout/", &format!("Token {token}")).await.is(204);
    let again = ask(&service, Method::POST, "/api/auth/logout/", &format!("Token {token}")).await;
    assert_eq!(again.is(401).json(), json!({ "detail": "Invalid token." }));

    let (one, two) = (service.login("alice", json!({})).await.token(), service.login("alice", json!({})).await.token());
    ask(&service, Method::POST, "/api/auth/logoutall/", &format!("Token {one}")).await.is(204);
    service.check(&one).await.is(401);
    service.check(&two).await.is(401);
}

#[tokio::test]
async fn knox_refuses_beyond_the_limit_in_its_own_words() {
    let service = Service::with(|config| config.tokens.session.per_user_limit = 1).await;
    service.user("alice", &[]).await;
    let body = json!({ "username": "alice", "password": PASSWORD });
    service.post("/api/auth/login/", None, body.clone()).await.is(200);
    let refused = service.post("/api/auth/login/", None, body).await;
    assert_eq!(refused.is(403).json(), json!({ "error": "Maximum amount of tokens allowed per user exceeded." }));
}

#[tokio::test]
async fn beyond_the_login_limit_they_throttle() {
    let service = Service::with(|config| config.limits.login_failures_before_lock = 2).await;
    service.user("alice", &[]).await;
    let wrong = json!({ "username": "alice", "password": "wrong" });
    service.post("/api/login/", None, wrong.clone()).await.is(401);
    service.post("/v1/login", None, wrong.clone()).await.is(401);
    for path in ["/api/login/", "/api-token-auth/", "/custom_login/", "/api/auth/login/"] {
        let answer = service.post(path, None, wrong.clone()).await;
        let words = "Request was throttled. Expected available in 900 seconds.";
        assert_eq!(answer.is(429).json(), json!({ "detail": words }), "{path}");
        assert_eq!(answer.header("retry-after"), "900");
    }
}

#[tokio::test]
async fn two_authorization_fields_are_refused_in_the_doors_own_words() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let twice = |value: &str| [("authorization", value.to_owned()), ("authorization", value.to_owned())];
    let both = service.send(Method::GET, "/api/protected/", &twice(&format!("Token {token}")), "").await;
    let words = "Invalid token header. Token string should not contain spaces.";
    assert_eq!(both.is(401).json(), json!({ "detail": words }));
    let both = service.send(Method::POST, "/api/auth/login/", &twice("Basic YTpi"), "").await;
    let words = "Invalid basic header. Credentials string should not contain spaces.";
    assert_eq!(both.is(401).json(), json!({ "detail": words }));
}

#[tokio::test]
async fn a_defect_is_500_and_a_full_queue_503() {
    use daypass::{api::django::Shut, error::Error};

    let status = |error: Error| poem::IntoResponse::into_response(Shut::from(error)).status().as_u16();
    assert_eq!(status(Error::Internal("secret".to_owned())), 500);
    assert_eq!(status(Error::Busy), 503);
}
