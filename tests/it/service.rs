//! The doors for those who run the service.

use serde_json::json;

use crate::support::Service;

#[tokio::test]
async fn health_and_readiness() {
    let service = Service::start().await;
    assert_eq!(service.get("/healthz", None).await.is(200).json(), json!({ "status": "ok" }));
    let ready = service.get("/readyz", None).await;
    assert_eq!(ready.is(200).member("status"), "ok");
    let names: Vec<_> = ready.member("parts").as_array().unwrap().iter().map(|part| part["name"].clone()).collect();
    assert_eq!(names, ["database", "migrations", "clock", "maintenance"]);
}

#[tokio::test]
async fn a_missing_step_makes_it_unready_and_is_named() {
    let service = Service::start().await;
    let steps = daypass::db::migrate::status(&service.app.db).await.unwrap();
    daypass::db::migrate::down(&service.app.db, 1).await.unwrap();
    let ready = service.get("/readyz", None).await;
    assert_eq!(ready.is(503).member("status"), "unavailable");
    assert_eq!(ready.json()["parts"][1]["detail"], format!("{} is missing", steps.last().unwrap().name));
    service.get("/healthz", None).await.is(200);
}

#[tokio::test]
async fn a_database_that_is_gone_is_503_everywhere_and_never_401() {
    let service = Service::start().await;
    let token = service.session("alice", &[]).await;
    service.app.db.close().await;
    assert_eq!(service.get("/readyz", None).await.is(503).json()["parts"][0]["name"], "database");
    service.get("/healthz", None).await.is(200);
    service.check(&token).await.is_problem(503);
    service.get("/v1/me", Some(&token)).await.is_problem(503);
    service.post("/v1/logout", Some(&token), json!({})).await.is_problem(503);
    service.login("alice", json!({})).await.is_problem(503);
    let body = json!({ "username": "alice", "password": "x" });
    service.post("/api/login/", None, body).await.is(503);
    service.post("/v1/tokens/revoke", None, json!({ "tokens": ["x"] })).await.is_problem(503);
    let malformed = service.check("dps_nonsense").await;
    malformed.is_problem(401);
}

#[tokio::test]
async fn requests_are_counted_by_route_pattern() {
    daypass::telemetry::count();
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let id = service.check(&session).await.text_of("id");
    service.get(&format!("/v1/tokens/{id}"), Some(&session)).await.is(200);
    service.get("/v1/tokens/some-other-id", Some(&session)).await.is(400);
    let metrics = service.get("/metrics", None).await;
    let series = |status: &str| {
        let label = format!(
            r#"daypass_http_request_duration_seconds_count{{method="GET",route="/v1/tokens/{{id}}",status="{status}"}}"#
        );
        metrics.text.contains(&label)
    };
    assert!(series("200") && series("400"), "{}", metrics.text);
    assert!(!metrics.text.contains(&id) && !metrics.text.contains(&session));
}

#[tokio::test]
async fn a_method_that_nobody_knows_makes_no_series_of_its_own() {
    daypass::telemetry::count();
    let service = Service::start().await;
    for method in ["STRANGE", "STRANGER", "TRACE"] {
        service.send(method.parse().unwrap(), "/healthz", &[], "").await.is_problem(405);
    }
    let metrics = service.get("/metrics", None).await.is(200).text.clone();
    assert!(metrics.contains(r#"{method="other",route="/healthz",status="405""#), "{metrics}");
    assert!(!metrics.contains("STRANGE") && !metrics.contains("TRACE"), "{metrics}");
}
