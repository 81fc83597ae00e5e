//! The document: in step with the code, and fit for generating clients.

use std::collections::{BTreeMap, BTreeSet};

use daypass::api::openapi;
use serde_json::{Map, Value};

const OPERATIONS: [&str; 47] = [
    "changePassword",
    "checkToken",
    "checkTokenHead",
    "checkTokenPost",
    "createClient",
    "createUser",
    "deleteClient",
    "deleteUser",
    "djangoApiLogin",
    "djangoApiProtected",
    "djangoCustomLogin",
    "djangoObtainAuthToken",
    "djangoProtectedView",
    "getAuthorizationServerMetadata",
    "getClient",
    "getHealth",
    "getMaintenance",
    "getMaintenanceRun",
    "getMetrics",
    "getReadiness",
    "getToken",
    "getUser",
    "introspectToken",
    "issueToken",
    "knoxLogin",
    "knoxLogout",
    "knoxLogoutAll",
    "listAuditEvents",
    "listClients",
    "listMaintenanceRuns",
    "listTokens",
    "listUsers",
    "login",
    "logout",
    "logoutAll",
    "previewPurge",
    "renewToken",
    "requestToken",
    "revokeByPossession",
    "revokeOAuthToken",
    "revokeToken",
    "rotateClientSecret",
    "rotateToken",
    "runPurge",
    "updateClient",
    "updateUser",
    "whoami",
];

fn document() -> Value {
    serde_json::from_str(openapi::json()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Map<String, Value>)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{method} {path}"), operation.as_object().unwrap()))
        })
        .collect()
}

#[test]
fn the_committed_copy_is_what_the_code_says() {
    for (file, generated) in [("openapi/openapi.json", openapi::json()), ("openapi/openapi.yaml", openapi::yaml())] {
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(committed == generated, "{file} is behind: run `openapi/update`");
    }
}

#[test]
fn no_object_has_a_member_twice() {
    let text = daypass::api::openapi::service().spec();
    assert_no_doubles(&text);
    assert_no_doubles(openapi::json());
}

/// serde would keep the last of two; counting members while reading finds both.
fn assert_no_doubles(text: &str) {
    struct Strict;
    impl<'de> serde::de::Visitor<'de> for Strict {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut seen = BTreeSet::new();
            while let Some(name) = map.next_key::<String>()? {
                assert!(seen.insert(name.clone()), "{name} is there twice");
                map.next_value::<Doubles>()?;
            }
            Ok(())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while seq.next_element::<Doubles>()?.is_some() {}
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    }
    struct Doubles;
    impl<'de> serde::Deserialize<'de> for Doubles {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Strict).map(|()| Self)
        }
    }
    serde_json::from_str::<Doubles>(text).unwrap();
}

#[test]
fn every_operation_is_named_tagged_summarised_and_has_its_errors() {
    let document = document();
    let mut names = BTreeSet::new();
    for (place, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{place}");
        assert!(operation["summary"].as_str().unwrap().len() > 5, "{place}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{place}");
        assert!(!responses.contains_key("default"), "{place}");
        let can_be_wrong = operation["tags"][0] != "service";
        assert_eq!(responses.keys().any(|status| status.starts_with('4')), can_be_wrong, "{place}");
        let is_public = operation["security"].as_array().unwrap().is_empty();
        assert!(is_public || responses.contains_key("401"), "{place}");
        for (status, response) in responses {
            assert!(response["headers"]["X-Request-Id"].is_object(), "{place} {status}");
        }
    }
    let expected: BTreeSet<_> = OPERATIONS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names, expected);
}

#[test]
fn schemas_are_named_and_bodies_have_examples() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut bodies = BTreeMap::new();
    for (place, operation) in operations(&document) {
        let Some(body) = operation.get("requestBody") else { continue };
        let content = body["content"].as_object().unwrap();
        assert_eq!(content.len(), 1, "{place}: one media type, or generated clients break");
        let (media_type, media) = content.iter().next().unwrap();
        assert!(!media_type.contains(';'), "{place}");
        let name = media["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        bodies.insert(place, name);
    }
    for (place, name) in bodies {
        assert!(schemas[&name]["example"].is_object(), "{place}: {name} has no example");
    }
    for (name, schema) in schemas {
        assert!(schema["description"].as_str().unwrap().len() > 5, "{name}");
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (property, shape) in properties {
            assert!(shape.get("properties").is_none(), "{name}.{property} is an anonymous object");
            assert!(shape.get("oneOf").is_none() && shape.get("anyOf").is_none(), "{name}.{property} is a union");
        }
    }
}

#[test]
fn what_is_answered_is_complete_and_says_what_may_be_null() {
    let document = document();
    let info = &document["components"]["schemas"]["TokenInfo"];
    let nullable: Vec<_> = info["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, property)| property["nullable"] == true)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(nullable, ["name", "user", "client_id", "idle_timeout", "last_used_at", "revoked_at"]);
    assert_eq!(info["required"].as_array().unwrap().len(), info["properties"].as_object().unwrap().len());
}

#[test]
fn no_body_is_promised_in_an_answer_to_head() {
    let document = document();
    for (place, operation) in operations(&document).into_iter().filter(|(place, _)| place.starts_with("head ")) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response.get("content").is_none(), "{place} {status}");
        }
    }
}

#[test]
fn ids_in_paths_say_what_they_look_like() {
    let document = document();
    for (place, operation) in operations(&document) {
        let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["in"] == "path" && parameter["name"] == "id") {
            let schema = &parameter["schema"];
            assert!(schema["format"] == "uuid" || schema["pattern"].is_string(), "{place}");
        }
    }
}

fn statuses(document: &Value, name: &str) -> Vec<String> {
    let all = operations(document);
    let (_, operation) = all.iter().find(|(_, operation)| operation["operationId"] == name).unwrap();
    operation["responses"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn an_operation_lists_what_it_can_answer_and_nothing_else() {
    let document = document();
    for (name, expected) in [
        ("login", "200 400 401 403 408 409 413 415 422 429 500 503"),
        ("logout", "204 400 401 408 413 500 503"),
        ("logoutAll", "200 400 401 404 408 413 500 503"),
        ("whoami", "200 400 401 404 500 503"),
        ("getToken", "200 400 401 404 500 503"),
        ("listTokens", "200 400 401 422 500 503"),
        ("revokeToken", "204 400 401 404 408 413 500 503"),
        ("issueToken", "201 400 401 403 404 408 409 413 415 422 500 503"),
        ("createClient", "201 400 401 403 408 413 415 422 500 503"),
        ("rotateClientSecret", "200 400 401 403 404 408 413 415 422 500 503"),
        ("runPurge", "202 400 401 403 408 409 413 500 503"),
        ("checkToken", "200 401 403 503"),
        ("checkTokenPost", "200 401 403 503"),
        ("djangoApiLogin", "200 400 401 403 408 413 415 429 500 503"),
        ("djangoObtainAuthToken", "200 400 403 408 413 415 429 500 503"),
        ("djangoApiProtected", "200 401 500 503"),
        ("djangoProtectedView", "200 401 500 503"),
        ("knoxLogout", "204 401 408 413 500 503"),
        ("requestToken", "200 400 401 408 413 429 500 503"),
        ("introspectToken", "200 400 401 403 408 413 500 503"),
        ("revokeOAuthToken", "200 400 401 408 413 429 500 503"),
        ("getAuthorizationServerMetadata", "200 404 500 503"),
        ("getHealth", "200"),
        ("getReadiness", "200 503"),
        ("getMetrics", "200 500"),
    ] {
        assert_eq!(statuses(&document, name).join(" "), expected, "{name}");
    }
}

#[test]
fn every_json_that_is_answered_has_an_example_with_all_its_members() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (place, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            for (media_type, media) in response["content"].as_object().into_iter().flatten() {
                if !media_type.contains("json") {
                    continue;
                }
                let schema = &schemas[media["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap()];
                let example = media.get("example").or_else(|| schema.get("example"));
                let example = example.unwrap_or_else(|| panic!("{place} {status} has no example"));
                for member in schema["required"].as_array().into_iter().flatten() {
                    let member = member.as_str().unwrap();
                    assert!(example.get(member).is_some(), "{place} {status}: {member} is missing");
                }
            }
        }
    }
}

/// RFC 6750 §5.3: what is in a URL ends up in logs and histories.
#[test]
fn no_secret_is_a_parameter_of_a_url() {
    let document = document();
    for (place, operation) in operations(&document) {
        for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            let (name, wanted) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            let ids = ["token_id", "client_id"];
            let secret = ["token", "password", "secret", "code", "key", "authorization"];
            assert!(
                wanted == "header" || ids.contains(&name) || !secret.iter().any(|word| name.contains(word)),
                "{place}: {name}"
            );
        }
    }
    for (name, scheme) in document["components"]["securitySchemes"].as_object().unwrap() {
        assert!(scheme["type"] == "http" || scheme["in"] == "header", "{name}");
    }
}
