//! Presenting a token, and what a refusal looks like (RFC 6750, RFC 9110 §11).

use daypass::api::openapi;
use poem::http::Method;
use serde_json::{Value, json};

use super::bearer;
use crate::support::{
    Answer, PASSWORD, Service,
    process::{Served, daypass, json_of},
    seconds,
};

async fn presented(service: &Service, path: &str, authorization: &str) -> Answer {
    service.send(Method::GET, path, &[("authorization", authorization.to_owned())], "").await
}

#[tokio::test]
async fn b1_a_bearer_token_is_one_word_after_its_scheme() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        presented(&service, "/v1/me", &format!("{scheme} {token}")).await.is(200);
        presented(&service, "/v1/me", &format!("{scheme}   {token}")).await.is(200);
    }
    for junk in [format!("{token} x"), format!("{token}, x"), format!("{token} , Bearer {token}"), format!("x {token}")]
    {
        presented(&service, "/v1/me", &format!("Bearer {junk}")).await.is_problem(400);
        presented(&service, "/v1/check", &format!("Bearer {junk}")).await.is_problem(401);
    }
    for junk in
        [format!("{token},"), format!("{token}="), format!("\"{token}\""), format!("{token}%"), format!(",{token}")]
    {
        presented(&service, "/v1/me", &format!("Bearer {junk}")).await.is_problem(401);
    }
    presented(&service, "/v1/me", &format!("Bearer{token}")).await.is_problem(401);
}

#[tokio::test]
async fn b2_without_credentials_the_challenge_is_bare() {
    let service = Service::start().await;
    for path in ["/v1/me", "/v1/check", "/v1/tokens", "/v1/users"] {
        let answer = service.get(path, None).await;
        assert_eq!(answer.is_problem(401).header("www-authenticate"), "Bearer realm=\"daypass\"");
    }
}

#[tokio::test]
async fn b3_another_scheme_is_no_credentials() {
    let service = Service::start().await;
    for path in ["/v1/me", "/v1/check"] {
        for other in ["Basic YTpi", "Digest username=\"a\"", "Negotiate abc", "Bearer", "Bearer "] {
            let answer = presented(&service, path, other).await;
            assert_eq!(answer.is_problem(401).header("www-authenticate"), "Bearer realm=\"daypass\"", "{other}");
        }
    }
}

#[tokio::test]
async fn b4_why_a_token_does_not_work_is_told_to_its_holder_only() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let expired = service.issue(&session, json!({ "ttl": 1 })).await;
    let revoked = service.issue(&session, json!({})).await;
    service.delete(&format!("/v1/tokens/{}", revoked.text_of("id")), Some(&session)).await.is(204);
    service.advance(seconds(1));
    let challenge = |description: &str| {
        format!("Bearer realm=\"daypass\", error=\"invalid_token\", error_description=\"{description}\"")
    };
    for (token, description) in [
        (expired.token(), "the token has expired"),
        (revoked.token(), "the token has been revoked"),
        ("dps_0".to_owned(), "the token is malformed or unknown"),
    ] {
        for path in ["/v1/me", "/v1/check"] {
            let answer = service.get(path, Some(&token)).await;
            assert_eq!(answer.is_problem(401).header("www-authenticate"), challenge(description));
        }
    }
    // Whoever knows no more than the id of either is told nothing.
    for known in [&expired, &revoked] {
        let id = known.text_of("id").parse().unwrap();
        let forged = daypass::token::secret::TokenSecret::generate("dp", daypass::token::Kind::Api, id).unwrap();
        let answer = service.check(forged.expose()).await;
        assert_eq!(answer.is_problem(401).header("www-authenticate"), challenge("the token is malformed or unknown"));
    }
}

#[tokio::test]
async fn b5_a_missing_scope_is_403_and_named() {
    let service = Service::start().await;
    let token = service.session("alice", &["read"]).await;
    let answer = service.get("/v1/check?scope=read&scope=write", Some(&token)).await;
    let challenge = "Bearer realm=\"daypass\", error=\"insufficient_scope\", scope=\"read write\"";
    assert_eq!(answer.is_problem(403).header("www-authenticate"), challenge);
    let answer = service.get("/v1/users", Some(&token)).await;
    assert!(answer.is_problem(403).header("www-authenticate").ends_with("scope=\"daypass:admin\""));
}

#[tokio::test]
async fn b6_two_credentials_are_an_invalid_request() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    let twice = [bearer(&token), bearer(&token)];
    let answer = service.send(Method::GET, "/v1/me", &twice, "").await;
    assert!(answer.is_problem(400).header("www-authenticate").contains("error=\"invalid_request\""));
    // In the query or in a form it is none at all.
    service.get(&format!("/v1/me?access_token={token}"), None).await.is_problem(401);
    service.form("/v1/logout", &format!("access_token={token}")).await.is_problem(401);
    service.check(&token).await.is(200);
}

/// A scheme, and parameters of which each is there once, is quoted and needs no escape.
fn assert_is_a_challenge(challenge: &str) {
    let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
    assert!(["Bearer", "Basic", "Token"].contains(&scheme), "{challenge}");
    let mut seen = Vec::new();
    for parameter in rest.split(", ").filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap();
        assert!(!seen.contains(&name), "{challenge}");
        seen.push(name);
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
        assert!(!value.contains(['"', '\\']), "{challenge}");
    }
}

#[tokio::test]
async fn b7_challenges_are_well_formed_and_repeat_nothing_that_was_sent() {
    let service = Service::start().await;
    let token = service.session("alice", &["read"]).await;
    for path in ["/v1/check?scope=a%22b", "/v1/check?scope=a%5Cb", "/v1/check?scope=caf%C3%A9", "/v1/check?scope=write"]
    {
        let answer = service.get(path, Some(&token)).await;
        assert_is_a_challenge(answer.is_problem(403).header("www-authenticate"));
    }
    for path in ["/v1/me", "/v1/check", "/api/protected/", "/protected_view/"] {
        for authorization in
            ["Bearer hunter2", "Token hunter2", "hunter2", "Bearer hunter2 hunter2", "Basic hunter2", ""]
        {
            let answer = presented(&service, path, authorization).await;
            for challenge in answer.headers.get_all("www-authenticate") {
                assert_is_a_challenge(challenge.to_str().unwrap());
            }
            assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
        }
    }
}

/// Every operation that there is, asked without credentials, and with some that are wrong.
#[tokio::test]
async fn b8_every_401_has_a_challenge_and_bearer_comes_first() {
    let service = Service::start().await;
    let document: Value = serde_json::from_str(openapi::json()).unwrap();
    let mut refused = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let path = path.replace("{id}", "current").replace("{client_id}", "x");
            let method: Method = method.to_uppercase().parse().unwrap();
            let form = ("content-type", super::FORM.to_owned());
            let body = "token=x&grant_type=client_credentials&username=a&password=b";
            for headers in [vec![form.clone()], vec![form.clone(), bearer("x")], vec![form, super::basic("x", "y")]] {
                let answer = service.send(method.clone(), &path, &headers, body).await;
                if answer.status == 401 {
                    refused += 1;
                    let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
                    assert!(!challenges.is_empty(), "{path}");
                    let schemes: Vec<_> = challenges.iter().map(|value| value.to_str().unwrap()).collect();
                    for challenge in &schemes {
                        assert_is_a_challenge(challenge);
                    }
                    assert!(schemes.len() == 1 || schemes[0].starts_with("Bearer"), "{path}: {schemes:?}");
                }
            }
        }
    }
    assert!(refused > 50, "{refused}");
}

#[tokio::test]
async fn b9_a_cookie_is_not_read() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    for name in ["token", "access_token", "Authorization", "session", "sessionid"] {
        let headers = [("cookie", format!("{name}={token}"))];
        for path in ["/v1/me", "/v1/check", "/api/protected/"] {
            service.send(Method::GET, path, &headers, "").await.is(401);
        }
    }
}

/// Over a real socket: what a body would be is for the server to leave out.
#[test]
fn b10_head_is_get_without_a_body() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    let served = Served::start(folder.path(), command.env("DAYPASS_ADMIN_PASSWORD", PASSWORD));
    let login = served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD }));
    let good = format!("Bearer {}", json_of(&login)["token"].as_str().unwrap());
    let head_of = |answer: &str| {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let changing = ["x-request-id", "date", "content-length", "transfer-encoding"];
        let lines = head.lines().filter(|line| !changing.iter().any(|name| line.to_lowercase().starts_with(name)));
        (lines.map(str::to_owned).collect::<Vec<_>>(), body.to_owned())
    };
    for path in ["/v1/check", "/v1/me", "/v1/tokens", "/.well-known/oauth-authorization-server"] {
        for authorization in [good.as_str(), "Bearer x", ""] {
            let ask =
                |method| served.request(&format!("{method} {path} HTTP/1.1\r\nAuthorization: {authorization}"), "");
            let ((get, _), (head, body)) = (head_of(&ask("GET")), head_of(&ask("HEAD")));
            assert_eq!(get, head, "{path} {authorization}");
            assert_eq!(body, "");
        }
    }
}
