//! Authorization server metadata (RFC 8414).

use std::{path::Path, process::Command};

use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, PASSWORD, Service,
    process::{Served, daypass},
};

const PATH: &str = "/.well-known/oauth-authorization-server";

async fn served_as(public_url: &str) -> Service {
    Service::with(|config| public_url.clone_into(&mut config.public_url)).await
}

async fn metadata(service: &Service) -> Answer {
    service.get(PATH, None).await
}

#[tokio::test]
async fn m1_it_is_where_rfc_8414_looks_for_it() {
    let service = Service::start().await;
    let answer = metadata(&service).await;
    assert!(answer.is(200).header("content-type").starts_with("application/json"));
    // An issuer has no path here (the setting refuses one), so there is no other place.
    service.get(&format!("{PATH}/x"), None).await.is(404);
}

#[tokio::test]
async fn m2_the_issuer_is_what_is_configured_and_never_what_a_request_says() {
    for url in ["https://id.example.org", "https://id.example.org:8443", "http://127.0.0.1:9999"] {
        let service = served_as(url).await;
        let headers = [
            ("host", "evil.example.com".to_owned()),
            ("x-forwarded-host", "evil.example.com".to_owned()),
            ("x-forwarded-proto", "http".to_owned()),
            ("forwarded", "host=evil.example.com".to_owned()),
        ];
        let answer = service.send(Method::GET, PATH, &headers, "").await;
        assert_eq!(answer.is(200).member("issuer"), url);
        assert!(!answer.text.contains("evil"), "{answer:?}");
        assert_eq!(answer.member("token_endpoint"), format!("{url}/oauth/token"));
        let client = service.client(&["daypass:introspect"]).await;
        let token = service.client_credentials(&client).await;
        assert_eq!(service.introspect(&client, &token).await.member("iss"), url);
    }
    let service = Service::start().await;
    assert_eq!(metadata(&service).await.member("issuer"), "http://127.0.0.1:8000", "on loopback it is known");
    let service = Service::with(|config| config.listen = "0.0.0.0:8000".parse().unwrap()).await;
    metadata(&service).await.is_problem(404);
}

#[tokio::test]
async fn m3_there_is_a_token_endpoint_and_no_authorization_endpoint() {
    let service = served_as("https://id.example.org").await;
    let answer = metadata(&service).await;
    assert_eq!(answer.member("token_endpoint"), "https://id.example.org/oauth/token");
    assert_eq!(answer.json().get("authorization_endpoint"), None);
}

#[tokio::test]
async fn m4_the_grants_are_those_that_are_offered() {
    let service = Service::start().await;
    assert_eq!(
        metadata(&service).await.member("grant_types_supported"),
        json!(["client_credentials", "refresh_token"])
    );
    let service = Service::with_every_grant().await;
    let grants = json!(["client_credentials", "refresh_token", "password"]);
    assert_eq!(metadata(&service).await.member("grant_types_supported"), grants);
}

#[tokio::test]
async fn m5_the_response_types_are_none() {
    let service = Service::start().await;
    assert_eq!(metadata(&service).await.member("response_types_supported"), json!(["none"]));
}

/// Each method that is told of, tried at the endpoint that it is told of.
#[tokio::test]
async fn m6_every_authentication_method_works_where_it_says() {
    let service = Service::start().await;
    let client = service.client(&["daypass:introspect"]).await;
    let server = service.session("server", &["daypass:introspect"]).await;
    service.user("alice", &[]).await;
    let told = metadata(&service).await.json();
    let base = told["issuer"].as_str().unwrap();
    for (name, expected) in [
        ("token_endpoint", json!(["client_secret_basic", "client_secret_post", "none"])),
        ("revocation_endpoint", json!(["client_secret_basic", "client_secret_post", "none"])),
        ("introspection_endpoint", json!(["client_secret_basic", "client_secret_post", "Bearer"])),
    ] {
        let methods = &told[format!("{name}_auth_methods_supported")];
        assert_eq!(*methods, expected);
        let path = told[name].as_str().unwrap().strip_prefix(base).unwrap();
        for method in methods.as_array().unwrap() {
            let (mut headers, mut form) = (Vec::new(), Vec::new());
            match method.as_str().unwrap() {
                "client_secret_basic" => headers.push(client.basic()),
                "client_secret_post" => form.extend(client.in_body()),
                "Bearer" => headers.push(super::bearer(&server)),
                _ => {}
            }
            let (_, refresh) = service.login_with_refresh("alice").await;
            match name {
                "token_endpoint" if headers.is_empty() && form.is_empty() => {
                    form.extend([("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())]);
                }
                "token_endpoint" => form.push(("grant_type", "client_credentials")),
                _ => form.push(("token", &refresh)),
            }
            service.oauth(path, &headers, &form).await.is(200);
        }
    }
}

#[tokio::test]
async fn m7_nothing_is_empty_or_null() {
    let service = Service::start().await;
    for (name, value) in metadata(&service).await.json().as_object().unwrap() {
        let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let is_list = value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(is_text));
        assert!(is_text(value) || is_list, "{name}: {value}");
    }
}

#[tokio::test]
async fn m8_it_may_be_kept_for_a_while_and_answers_head() {
    let service = Service::start().await;
    let answer = metadata(&service).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert_eq!(answer.header("pragma"), "");
    let head = service.send(Method::HEAD, PATH, &[], "").await;
    assert_eq!(
        (head.is(200).header("cache-control"), head.header("content-type")),
        (answer.header("cache-control"), answer.header("content-type"))
    );
    for method in [Method::OPTIONS, Method::POST, Method::PUT] {
        let answer = service.send(method, PATH, &[], "").await;
        assert_eq!(answer.is(405).header("allow"), "GET, HEAD");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

/// Authlib reads the metadata of a running service, and has nothing to say against it.
#[test]
#[ignore = "run tests/run, which installs Authlib"]
fn m9_authlib_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &mut daypass(folder.path()));
    let script = "
import json, sys, urllib.request
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
with urllib.request.urlopen(sys.argv[1]) as answer:
    metadata = AuthorizationServerMetadata(json.load(answer))
metadata.validate()
print(metadata.token_endpoint)
";
    let python = Path::new("target/tools/python/bin/python");
    let url = format!("http://{}{PATH}", served.address);
    // It insists on https otherwise.
    let mut command = Command::new(python);
    let output = command.env("AUTHLIB_INSECURE_TRANSPORT", "1").args(["-c", script, &url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let endpoint = format!("http://{}/oauth/token", served.address);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), endpoint);
}

/// A token that came by way of what the metadata says works where everything does.
#[tokio::test]
async fn what_it_leads_to_is_a_token() {
    let service = Service::with_every_grant().await;
    let client = service.client(&["read"]).await;
    service.user("alice", &["read"]).await;
    let told = metadata(&service).await.json();
    let path = told["token_endpoint"].as_str().unwrap().strip_prefix(told["issuer"].as_str().unwrap()).unwrap();
    let form = [("grant_type", "password"), ("username", "alice"), ("password", PASSWORD)];
    let answer = service.oauth(path, &[client.basic()], &form).await;
    service.check(&answer.is(200).text_of("access_token")).await.is(200);
}
