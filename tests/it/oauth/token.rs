//! The token endpoint (RFC 6749 §2.3, §3.2, §4.3, §4.4, §5, §6).

use std::{
    io::{Read, Write},
    time::Duration,
};

use entity::Grant;
use poem::http::Method;
use serde_json::{Value, json};

use super::{Client, FORM, basic, bearer, encoded};
use crate::support::{
    Answer, PASSWORD, Service,
    process::{Served, daypass},
    seconds,
};

const CREDENTIALS: [(&str, &str); 1] = [("grant_type", "client_credentials")];

async fn posted_as(service: &Service, client: &Client, media_type: Option<&str>, body: &str) -> Answer {
    let mut headers = vec![client.basic()];
    headers.extend(media_type.map(|media_type| ("content-type", media_type.to_owned())));
    service.send(Method::POST, "/oauth/token", &headers, body.to_owned()).await
}

#[tokio::test]
async fn te1_only_a_post_of_a_form_is_answered() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let body = encoded(&CREDENTIALS);
    for media_type in [FORM, "application/x-www-form-urlencoded; charset=UTF-8", "Application/X-WWW-Form-URLencoded"] {
        posted_as(&service, &client, Some(media_type), &body).await.is(200);
    }
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let answer = service.send(method, "/oauth/token", &[client.basic()], "").await;
        assert_eq!(answer.is_error(405, "invalid_request").header("allow"), "POST");
    }
}

#[tokio::test]
async fn te2_another_media_type_or_none_is_400() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let body = encoded(&CREDENTIALS);
    let types = ["application/json", "multipart/form-data; boundary=x", "application/foo+x-www-form-urlencoded", ""];
    for media_type in types.map(Some).into_iter().chain([None, Some("application/x-www-form-urlencoded; charset=x")]) {
        posted_as(&service, &client, media_type, &body).await.is_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn te3_a_missing_or_empty_grant_type_is_an_invalid_request() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    service.token(&client, &[]).await.is_error(400, "invalid_request");
    service.token(&client, &[("grant_type", "")]).await.is_error(400, "invalid_request");
    service.oauth("/oauth/token", &[], &[]).await.is_error(400, "invalid_request");
}

#[tokio::test]
async fn te4_an_unknown_grant_is_unsupported_and_one_that_a_client_may_not_use_is_unauthorized() {
    let service = Service::start().await;
    let limited = service.client_with(&["read"], &[Grant::RefreshToken]).await;
    for unknown in ["authorization_code", "CLIENT_CREDENTIALS", "urn:ietf:params:oauth:grant-type:token-exchange", "x"]
    {
        service.token(&limited, &[("grant_type", unknown)]).await.is_error(400, "unsupported_grant_type");
    }
    service.token(&limited, &CREDENTIALS).await.is_error(400, "unauthorized_client");
    let other = service.client_with(&["read"], &[Grant::ClientCredentials]).await;
    service.refresh_as(&other, "dpr_0").await.is_error(400, "unauthorized_client");
    // Switched off, the password grant does not exist, whatever else is in the request.
    service.password_grant(&other, "alice").await.is_error(400, "unsupported_grant_type");
    let service = Service::with_every_grant().await;
    let other = service.client_with(&["read"], &[Grant::ClientCredentials]).await;
    service.password_grant(&other, "alice").await.is_error(400, "unauthorized_client");
}

/// Each client may use the grants that it was given and no other, whichever they are.
#[tokio::test]
async fn te4_every_client_has_the_grants_that_it_was_given_and_no_other() {
    let service = Service::with_every_grant().await;
    service.user("alice", &["read"]).await;
    for which in 0..8 {
        let given: Vec<_> = (0..3).filter(|at| which >> at & 1 == 1).map(|at| Grant::ALL[at]).collect();
        let client = service.client_with(&["read"], &given).await;
        for grant in Grant::ALL {
            let answer = match grant {
                Grant::ClientCredentials => service.token(&client, &CREDENTIALS).await,
                Grant::Password => service.password_grant(&client, "alice").await,
                Grant::RefreshToken => service.refresh_as(&client, "dpr_0").await,
            };
            let refused = answer.status == 400 && answer.member("error") == "unauthorized_client";
            assert_eq!(refused, !given.contains(&grant), "{given:?} {grant:?}: {answer:?}");
        }
    }
}

/// Every character as `%XX`: more than any client does.
fn percent(text: &str) -> String {
    text.bytes().flat_map(|byte| ['%', digit(byte >> 4), digit(byte & 15)]).collect()
}

fn digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap().to_ascii_uppercase()
}

#[tokio::test]
async fn te5_basic_is_read_encoded_and_as_it_stands() {
    let service = Service::start().await;
    let Client { id, secret } = service.client(&["read"]).await;
    let ask = async |id: &str, secret: &str| service.oauth("/oauth/token", &[basic(id, secret)], &CREDENTIALS).await;
    ask(&id, &secret).await.is(200);
    ask(&percent(&id), &percent(&secret)).await.is(200);
    ask(&id, &percent(&secret).to_lowercase()).await.is(200);
    // None of these is anybody's, whichever way it is read; and none breaks anything.
    let odd =
        ["my-client", "my%2Dclient", "a_b", "a%3Ab", "100%", "%", "%zz", "a+b", "a b", "caf\u{e9}", "caf%C3%A9", ""];
    for odd in odd {
        ask(odd, &secret).await.is_error(401, "invalid_client");
        ask(&id, odd).await.is_error(401, "invalid_client");
    }
    let scheme = basic(&id, &secret).1.replace("Basic", "bAsIc");
    service.oauth("/oauth/token", &[("authorization", scheme)], &CREDENTIALS).await.is(200);
}

#[tokio::test]
async fn te6_the_id_ends_at_the_first_colon() {
    let service = Service::start().await;
    let Client { id, secret } = service.client(&["read"]).await;
    let ask = async |id: &str, secret: &str| service.oauth("/oauth/token", &[basic(id, secret)], &CREDENTIALS).await;
    // Were it the last one, the secret would be right.
    ask(&format!("{id}:x"), &secret).await.is_error(401, "invalid_client");
    // Were the encoded one a colon to split at, it would be right, too.
    ask(&format!("{id}%3A{secret}"), "").await.is_error(401, "invalid_client");
    ask(&id, &format!("{secret}:")).await.is_error(401, "invalid_client");
    ask(&id, &secret).await.is(200);
}

#[tokio::test]
async fn te7_a_wrong_secret_by_basic_is_401_with_a_challenge() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let other = service.client(&["read"]).await;
    for wrong in ["", "x", &other.secret, &client.secret[1..], &client.secret.to_lowercase()] {
        let answer = service.oauth("/oauth/token", &[basic(&client.id, wrong)], &CREDENTIALS).await;
        assert_eq!(answer.is_error(401, "invalid_client").header("www-authenticate"), "Basic realm=\"daypass\"");
    }
}

#[tokio::test]
async fn te8_a_wrong_secret_in_the_body_and_an_unknown_client_are_one_answer() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let gone = service.client(&["read"]).await;
    daypass::client::delete(&service.app, &gone.id, &daypass::audit::Actor::system(), service.now()).await.unwrap();
    let ask = async |id: &str, secret: &str| {
        let form = [CREDENTIALS[0], ("client_id", id), ("client_secret", secret)];
        service.oauth("/oauth/token", &[], &form).await
    };
    ask(&client.id, &client.secret).await.is(200);
    let wrong = ask(&client.id, "wrong").await;
    assert_eq!(wrong.is_error(401, "invalid_client").header("www-authenticate"), "Basic realm=\"daypass\"");
    let nobody = "0".repeat(22);
    for (id, secret) in [(nobody.as_str(), &client.secret), ("nobody", &client.secret), (&gone.id, &gone.secret)] {
        let answer = ask(id, secret).await;
        assert_eq!((answer.status, &answer.text), (wrong.status, &wrong.text));
        let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&answer), names(&wrong));
    }
}

#[tokio::test]
async fn te9_a_grant_that_needs_a_client_is_401_without_one() {
    let service = Service::with_every_grant().await;
    for grant in ["client_credentials", "password"] {
        let form = [("grant_type", grant), ("username", "alice"), ("password", PASSWORD)];
        let answer = service.oauth("/oauth/token", &[], &form).await;
        assert_eq!(answer.is_error(401, "invalid_client").header("www-authenticate"), "Basic realm=\"daypass\"");
    }
    let client = service.client(&["read"]).await;
    let named = [CREDENTIALS[0], ("client_id", &client.id)];
    service.oauth("/oauth/token", &[], &named).await.is_error(401, "invalid_client");
    let unnamed = [CREDENTIALS[0], ("client_secret", &client.secret)];
    service.oauth("/oauth/token", &[], &unnamed).await.is_error(401, "invalid_client");
    // Another scheme is no client authentication.
    let token = service.client_credentials(&client).await;
    service.oauth("/oauth/token", &[bearer(&token)], &CREDENTIALS).await.is_error(401, "invalid_client");
}

#[tokio::test]
async fn te10_a_client_authenticates_once() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let other = service.client(&["read"]).await;
    let [id, secret] = client.in_body();
    service.token(&client, &[CREDENTIALS[0], id, secret]).await.is_error(400, "invalid_request");
    service.token(&client, &[CREDENTIALS[0], secret]).await.is_error(400, "invalid_request");
    service.token(&client, &[CREDENTIALS[0], id]).await.is(200);
    service.token(&client, &[CREDENTIALS[0], ("client_id", &other.id)]).await.is_error(400, "invalid_request");
    let twice = [client.basic(), client.basic()];
    service.oauth("/oauth/token", &twice, &CREDENTIALS).await.is_error(400, "invalid_request");
}

#[tokio::test]
async fn te11_credentials_in_the_url_are_not_read() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let path = format!("/oauth/token?{}", encoded(&client.in_body()));
    service.oauth(&path, &[], &CREDENTIALS).await.is_error(401, "invalid_client");
    let path = format!("/oauth/token?{}", encoded(&CREDENTIALS));
    service.oauth(&path, &[client.basic()], &[]).await.is_error(400, "invalid_request");
    service.oauth(&path, &[client.basic()], &CREDENTIALS).await.is(200);
}

#[tokio::test]
async fn te12_malformed_basic_is_401() {
    let service = Service::start().await;
    for malformed in
        ["Basic", "Basic ", "Basic !!!", "Basic YQ", "Basic YWJj", "Basic //79", "basic :", "Basic YTpi YTpi"]
    {
        let header = ("authorization", malformed.to_owned());
        service.oauth("/oauth/token", &[header], &CREDENTIALS).await.is_error(401, "invalid_client");
    }
    let header = ("authorization", "Basic caf\u{e9}".to_owned());
    service.oauth("/oauth/token", &[header], &CREDENTIALS).await.is_error(401, "invalid_client");
}

#[tokio::test]
async fn te13_a_repeated_parameter_is_an_invalid_request() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    for double in ["grant_type=client_credentials", "scope=read&scope=read", "unknown=1&unknown=2", "x=&x=", "x&%78"] {
        let body = format!("grant_type=client_credentials&{double}");
        let answer = service.oauth_raw("/oauth/token", &[client.basic()], body).await;
        answer.is_error(400, "invalid_request");
    }
    let many: Vec<_> = (0..200).map(|n| format!("p{n}=1")).collect();
    let many = format!("grant_type=client_credentials&{}", many.join("&"));
    service.oauth_raw("/oauth/token", &[client.basic()], many).await.is_error(400, "invalid_request");
}

#[tokio::test]
async fn te14_unknown_parameters_are_ignored() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let form = [CREDENTIALS[0], ("audience", "https://api.example.org"), ("ttl", "1"), ("user_id", "x")];
    assert_eq!(service.token(&client, &form).await.is(200).member("expires_in"), 3600);
}

#[tokio::test]
async fn te15_client_credentials_yield_a_client_token_and_no_refresh_token() {
    let service = Service::start().await;
    let client = service.client(&["read", "write", "daypass:introspect"]).await;
    let answer = service.token(&client, &CREDENTIALS).await;
    answer.is(200);
    let names: Vec<_> = answer.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["access_token", "token_type", "expires_in", "scope"]);
    assert_eq!(answer.member("scope"), "read write", "what is Daypass's own is not handed on unasked");
    let token = answer.text_of("access_token");
    assert!(token.starts_with("dpc_"));
    let checked = service.check(&token).await;
    assert_eq!(checked.is(200).member("kind"), "client");
    assert_eq!((checked.member("user"), checked.member("client_id")), (Value::Null, json!(client.id)));
    let asked = service.token(&client, &[CREDENTIALS[0], ("scope", "daypass:introspect")]).await;
    assert_eq!(asked.is(200).member("scope"), "daypass:introspect");
    // A client's own token ends with it.
    daypass::client::delete(&service.app, &client.id, &daypass::audit::Actor::system(), service.now()).await.unwrap();
    service.check(&token).await.is(401);
}

#[tokio::test]
async fn te16_the_password_grant_is_a_login() {
    let service = Service::with_every_grant().await;
    let client = service.client(&["read", "daypass:admin"]).await;
    service.user("alice", &["read", "write", "daypass:admin"]).await;
    service.user("bob", &["read"]).await;
    let answer = service.password_grant(&client, "ALICE").await;
    assert_eq!(answer.is(200).member("scope"), "read", "no more than both may have");
    assert!(answer.text_of("refresh_token").starts_with("dpr_"));
    let checked = service.check(&answer.text_of("access_token")).await;
    assert_eq!(checked.is(200).member("kind"), "session");
    assert_eq!((checked.member("client_id"), checked.header("remote-user")), (json!(client.id), "alice"));

    let ask = async |form: &[(&str, &str)]| {
        let form = [&[("grant_type", "password")], form].concat();
        service.token(&client, &form).await
    };
    ask(&[("username", "alice")]).await.is_error(400, "invalid_request");
    ask(&[("password", PASSWORD)]).await.is_error(400, "invalid_request");
    ask(&[("username", ""), ("password", PASSWORD)]).await.is_error(400, "invalid_request");
    let wide = [("username", "alice"), ("password", PASSWORD), ("scope", "write")];
    ask(&wide).await.is_error(400, "invalid_scope");

    let wrong = ask(&[("username", "alice"), ("password", "wrong")]).await;
    let id = service.check(&service.login("bob", json!({})).await.token()).await.json()["user"]["id"].clone();
    let admin = service.admin().await;
    let path = format!("/v1/users/{}", id.as_str().unwrap());
    service.json(Method::PATCH, &path, Some(&admin), json!({ "disabled": true })).await.is(200);
    let long = "x".repeat(1025);
    for (name, password) in [("nobody", PASSWORD), ("no name at all", PASSWORD), ("bob", PASSWORD), ("alice", &long)] {
        let answer = ask(&[("username", name), ("password", password)]).await;
        assert_eq!(answer.is_error(400, "invalid_grant").text, wrong.text, "{name}");
    }
}

/// One set of counters for every door.
#[tokio::test]
async fn te16_the_password_grant_shares_the_limits_of_all_logins() {
    let service = Service::with_every_grant().await;
    let client = service.client(&["read"]).await;
    service.user("alice", &["read"]).await;
    let form = [("grant_type", "password"), ("username", "alice"), ("password", "wrong")];
    for _ in 0..3 {
        service.token(&client, &form).await.is_error(400, "invalid_grant");
    }
    for _ in 0..2 {
        service.login("alice", json!({ "password": "wrong" })).await.is(401);
    }
    for name in ["alice", "Alice"] {
        let answer = service.password_grant(&client, name).await;
        assert_eq!(answer.is_error(429, "temporarily_unavailable").header("retry-after"), "900");
    }
    service.login("alice", json!({})).await.is(429);
}

#[tokio::test]
async fn te17_a_refresh_token_that_does_not_work_is_one_answer() {
    let service = Service::with_every_grant().await;
    let client = service.client(&["read"]).await;
    let other = service.client(&["read"]).await;
    service.user("alice", &["read"]).await;
    let issued = async || {
        let answer = service.password_grant(&client, "alice").await;
        (answer.text_of("access_token"), answer.text_of("refresh_token"))
    };
    let (access, refresh) = issued().await;
    let (_, unbound) = service.login_with_refresh("alice").await;
    let (_, revoked) = issued().await;
    service.revoke(Some(&client), &revoked).await.is(200);
    let (_, reused) = issued().await;
    service.refresh_as(&client, &reused).await.is(200);
    service.advance(seconds(30));
    let id = daypass::token::check::parse(&service.app, &refresh, service.now()).unwrap().id;
    let forged = daypass::token::secret::TokenSecret::generate("dp", daypass::token::Kind::Refresh, id).unwrap();
    let mut answers = Vec::new();
    for bad in [&access, &unbound, &revoked, &reused, forged.expose(), "dpr_0", "x"] {
        answers.push(service.refresh_as(&client, bad).await);
    }
    answers.push(service.refresh_as(&other, &refresh).await);
    answers.push(service.refresh("dpr_0").await);
    for answer in &answers {
        assert_eq!(answer.is_error(400, "invalid_grant").text, answers[0].text);
    }
    // Nothing of that was at the owner's expense.
    let (_, next) = {
        let answer = service.refresh_as(&client, &refresh).await;
        (answer.is(200).text_of("access_token"), answer.text_of("refresh_token"))
    };
    service.traded(&unbound).await;
    service.advance(Duration::from_hours(24 * 30));
    assert_eq!(service.refresh_as(&client, &next).await.is_error(400, "invalid_grant").text, answers[0].text);
    // Whoever holds it, and says nothing of the client that it was issued to, is told to.
    let (_, refresh) = issued().await;
    service.refresh(&refresh).await.is_error(401, "invalid_client");
    service.refresh_as(&client, &refresh).await.is(200);
}

#[tokio::test]
async fn te18_scope_may_shrink_and_never_grow() {
    let service = Service::start().await;
    service.user("alice", &["read", "write", "admin"]).await;
    let login = service.login("alice", json!({ "refresh": true, "scopes": ["read", "write"] })).await;
    let refresh = login.text_of("refresh_token");
    let ask = async |refresh: &str, scope: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("scope", scope)];
        service.oauth("/oauth/token", &[], &form).await
    };
    for wider in ["read admin", "admin", "nothing"] {
        ask(&refresh, wider).await.is_error(400, "invalid_scope");
    }
    let narrow = ask(&refresh, "read").await;
    assert_eq!(narrow.is(200).member("scope"), "read");
    assert_eq!(service.check(&narrow.text_of("access_token")).await.header("x-daypass-scope"), "read");
    let full = service.refresh(&narrow.text_of("refresh_token")).await;
    assert_eq!(full.is(200).member("scope"), "read write", "the next refresh token keeps what the first had");
}

#[tokio::test]
async fn te19_a_malformed_scope_is_an_invalid_scope() {
    let service = Service::start().await;
    let client = service.client(&["read", "write"]).await;
    let many = (0..65).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let long = "x".repeat(129);
    let bad = ["re\"ad", "re\\ad", "read\n", "re\tad", "read  write", " read", "read ", " ", "caf\u{e9}", &many, &long];
    for bad in bad {
        service.token(&client, &[CREDENTIALS[0], ("scope", bad)]).await.is_error(400, "invalid_scope");
    }
    let answer = service.token(&client, &[CREDENTIALS[0], ("scope", "write read write")]).await;
    assert_eq!(answer.is(200).member("scope"), "read write");
    assert_eq!(service.token(&client, &[CREDENTIALS[0], ("scope", "")]).await.member("scope"), "read write");
}

#[tokio::test]
async fn te20_success_is_what_rfc_6749_says() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let answer = service.token(&client, &CREDENTIALS).await;
    assert_eq!(answer.is(200).member("token_type"), "Bearer");
    assert_eq!(answer.member("expires_in").as_u64(), Some(3600));
    assert_eq!(answer.member("scope"), "read");
    let nothing = service.client(&[]).await;
    let answer = service.token(&nothing, &CREDENTIALS).await;
    assert_eq!(answer.is(200).json().get("scope"), None, "no scope is no scope, and not an empty one");
    service.user("alice", &["read"]).await;
    let (_, refresh) = service.login_with_refresh("alice").await;
    let names: Vec<_> = service.refresh(&refresh).await.is(200).json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["access_token", "token_type", "expires_in", "scope", "refresh_token"]);
}

#[tokio::test]
async fn te21_less_than_asked_for_is_never_granted_in_silence() {
    let service = Service::with_every_grant().await;
    let client = service.client(&["read"]).await;
    service.user("alice", &["read", "write"]).await;
    service.token(&client, &[CREDENTIALS[0], ("scope", "read write")]).await.is_error(400, "invalid_scope");
    let form = [("grant_type", "password"), ("username", "alice"), ("password", PASSWORD), ("scope", "read write")];
    service.token(&client, &form).await.is_error(400, "invalid_scope");
    // Nor on refresh, where the user had it when the refresh token was issued and has it no longer.
    let (session, refresh) = service.login_with_refresh("alice").await;
    let admin = service.admin().await;
    let id = service.check(&session).await.json()["user"]["id"].as_str().unwrap().to_owned();
    service.json(Method::PATCH, &format!("/v1/users/{id}"), Some(&admin), json!({ "scopes": ["read"] })).await.is(200);
    let form = [("grant_type", "refresh_token"), ("refresh_token", &refresh), ("scope", "read write")];
    service.oauth("/oauth/token", &[], &form).await.is_error(400, "invalid_scope");
    assert_eq!(service.refresh(&refresh).await.is(200).member("scope"), "read");
}

#[tokio::test]
async fn te22_expires_in_is_rounded_down_and_ends_with_the_family() {
    let service = Service::with(|config| {
        config.tokens.refresh.ttl = seconds(3600);
        config.tokens.refresh.max_lifetime = seconds(5400);
        config.tokens.client.ttl = seconds(7);
    })
    .await;
    let client = service.client(&[]).await;
    let answer = service.token(&client, &CREDENTIALS).await;
    assert_eq!(answer.member("expires_in"), 7);
    let token = answer.text_of("access_token");
    service.advance_ms(6_999);
    assert_eq!(service.check(&token).await.is(200).member("expires_in"), 0);
    service.advance_ms(1);
    service.check(&token).await.is(401);
    // The refresh token that is traded for one is no longer good than the first could be.
    service.user("alice", &[]).await;
    let (_, refresh) = service.login_with_refresh("alice").await;
    service.advance(seconds(3000));
    let (_, refresh) = service.traded(&refresh).await;
    service.advance_ms(2_399_999);
    let (_, refresh) = service.traded(&refresh).await;
    service.advance_ms(1);
    service.refresh(&refresh).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn te23_answers_are_json_without_cookies() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let good = service.token(&client, &CREDENTIALS).await;
    let bad = service.token(&client, &[]).await;
    for answer in [good, bad] {
        assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn te24_storage_trouble_is_503_and_too_much_is_429() {
    let service = Service::with(|config| {
        config.oauth.password_grant = true;
        config.limits.login_per_minute_per_ip = 2;
    })
    .await;
    let client = service.client(&["read"]).await;
    service.user("alice", &["read"]).await;
    let (_, refresh) = service.login_with_refresh("alice").await;
    service.password_grant(&client, "alice").await.is(200);
    let limited = service.password_grant(&client, "alice").await;
    assert_eq!(limited.is_error(429, "temporarily_unavailable").header("retry-after"), "60");
    service.app.db.close().await;
    for answer in [
        service.token(&client, &CREDENTIALS).await,
        service.token(&Client { secret: "wrong".to_owned(), ..client.clone() }, &CREDENTIALS).await,
        service.refresh(&refresh).await,
        service.password_grant(&client, "alice").await,
    ] {
        assert!(!answer.is_error(503, "temporarily_unavailable").header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn te25_a_body_that_is_too_long_is_413() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    let body = |length: usize| format!("{}&x={}", encoded(&CREDENTIALS), "y".repeat(length - 32));
    let most = 64 * 1024;
    service.oauth_raw("/oauth/token", &[client.basic()], body(most)).await.is(200);
    let answer = service.oauth_raw("/oauth/token", &[client.basic()], body(most + 1)).await;
    assert_eq!(answer.is_error(413, "invalid_request").header("connection"), "close");
}

/// In pieces, without saying before how many: over a real socket.
#[test]
fn te25_a_chunked_body_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &mut daypass(folder.path()));
    let ask = |pieces: &[&str]| {
        let mut stream = served.connect();
        write!(stream, "POST /oauth/token HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: {FORM}\r\n")
            .unwrap();
        write!(stream, "Transfer-Encoding: chunked\r\n\r\n").unwrap();
        for piece in pieces.iter().chain([&""]) {
            // Whoever says too much is not listened to until the end.
            if write!(stream, "{:x}\r\n{piece}\r\n", piece.len()).is_err() {
                break;
            }
        }
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer));
        answer
    };
    let answer = ask(&["grant_type=refresh_to", "ken&refresh_token=dpr_0"]);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("\"invalid_grant\""), "{answer}");
    let piece = "x".repeat(8 * 1024);
    let answer = ask(&[piece.as_str(); 9]);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("\"invalid_request\""), "{answer}");
}

#[tokio::test]
async fn te26_what_cannot_be_decoded_is_an_invalid_request() {
    let service = Service::start().await;
    let client = service.client(&["read"]).await;
    for bad in ["x=%ff", "x=%zz", "x=%", "%c3=1", "scope=%C3%28"] {
        let body = format!("grant_type=client_credentials&{bad}");
        service.oauth_raw("/oauth/token", &[client.basic()], body).await.is_error(400, "invalid_request");
    }
    let raw = b"grant_type=client_credentials&x=\xff".to_vec();
    service.oauth_raw("/oauth/token", &[client.basic()], raw).await.is_error(400, "invalid_request");
}

/// Of two users whose passwords differ only in what is no UTF-8, there can be no question.
#[tokio::test]
async fn te26_two_passwords_never_become_one() {
    let service = Service::with_every_grant().await;
    let client = service.client(&["read"]).await;
    service.user("alice", &["read"]).await;
    for bad in ["%ff", "%fe"] {
        let body = format!("grant_type=password&username=alice&password={bad}");
        service.oauth_raw("/oauth/token", &[client.basic()], body).await.is_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn the_doors_of_django_offer_no_refresh_token() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    let body = json!({ "username": "alice", "password": PASSWORD, "refresh": true });
    for path in ["/api/login/", "/api-token-auth/", "/custom_login/", "/api/auth/login/"] {
        let answer = service.post(path, None, body.clone()).await;
        assert!(!answer.is(200).text.contains("dpr_"), "{answer:?}");
    }
    let plain = service.login("alice", json!({})).await;
    assert_eq!(plain.is(200).json().get("refresh_token"), None);
    let form = format!("username=alice&password={}&refresh=true", PASSWORD.replace(' ', "+"));
    assert!(service.form("/v1/login", &form).await.text_of("refresh_token").starts_with("dpr_"));
    service.form("/v1/login", &form.replace("refresh=true", "refresh=yes")).await.is_about(400, "refresh");
    service.login("alice", json!({ "refresh": "yes" })).await.is_about(400, "refresh");
}
