//! `/v1/maintenance`: what the purge did, does and would do.

use serde_json::json;

use crate::support::{Service, days, seconds};

#[tokio::test]
async fn it_is_for_administrators() {
    let service = Service::start().await;
    let alice = service.session("alice", &["read"]).await;
    for path in ["", "/runs", "/preview", "/runs/019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e"] {
        service.get(&format!("/v1/maintenance{path}"), Some(&alice)).await.is_problem(403);
        service.get(&format!("/v1/maintenance{path}"), None).await.is_problem(401);
    }
    service.post("/v1/maintenance/purge", Some(&alice), json!({})).await.is_problem(403);
}

#[tokio::test]
async fn a_purge_can_be_started_and_watched() {
    let service = Service::with(|config| config.tokens.session.ttl = days(29)).await;
    let admin = service.admin().await;
    service.issue(&admin, json!({ "ttl": 1 })).await.is(201);
    service.advance(days(2));
    assert_eq!(service.get("/v1/maintenance", Some(&admin)).await.is(200).member("backlog"), 1);

    let started = service.post("/v1/maintenance/purge", Some(&admin), json!({})).await;
    started.is(202);
    assert_eq!((started.member("job"), started.member("trigger")), (json!("purge"), json!("api")));
    let path = format!("/v1/maintenance/runs/{}", started.text_of("id"));
    service.app.maintenance.stop().await;
    let ended = service.get(&path, Some(&admin)).await;
    // Asked to stop while it ran, it did so between two batches, or was done already.
    assert!(ended.text_of("outcome") == "done" || ended.text_of("outcome") == "cancelled", "{ended:?}");
    assert!(ended.member("finished_at").is_string() && ended.json()["deleted"]["revoked"] == 0);

    let runs = service.get("/v1/maintenance/runs", Some(&admin)).await;
    assert_eq!(runs.member("items").as_array().unwrap().len(), 1);
    let unknown = "/v1/maintenance/runs/019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e";
    service.get(unknown, Some(&admin)).await.is_problem(404);
    service.get("/v1/maintenance/runs/x", Some(&admin)).await.is_about(400, "id");
}

#[tokio::test]
async fn two_purges_do_not_run_at_once() {
    let service = Service::start().await;
    let admin = service.admin().await;
    // The runtime of a test has one thread: the first run cannot end before this test waits for something.
    let first = daypass::maintenance::start(&service.app, entity::maintenance_run::Trigger::Api).await.unwrap();
    let second = daypass::maintenance::start(&service.app, entity::maintenance_run::Trigger::Api).await;
    match second {
        Err(daypass::maintenance::state::NotStarted::Running(running)) => assert_eq!(running.id, first.id),
        other => panic!("{other:?}"),
    }
    service.app.maintenance.stop().await;
    service.post("/v1/maintenance/purge", Some(&admin), json!({})).await.is(202);
}

#[tokio::test]
async fn the_preview_tells_what_would_go_and_when() {
    let service = Service::with(|config| config.tokens.session.ttl = days(29)).await;
    let admin = service.admin().await;
    for ttl in [60, 60, 3600 * 2, 86_400 * 3] {
        service.issue(&admin, json!({ "ttl": ttl })).await.is(201);
    }
    let id = service.issue(&admin, json!({})).await.text_of("id");
    service.delete(&format!("/v1/tokens/{id}"), Some(&admin)).await.is(204);
    service.advance(days(1) + seconds(61));
    let preview = service.get("/v1/maintenance/preview", Some(&admin)).await;
    let expected = json!({
        "now": { "expired": 2, "revoked": 1 },
        "oldest": "2026-11-24T09:00:00.000Z",
        "upcoming": { "within_1h": 0, "within_24h": 1, "within_7d": 2 },
    });
    assert_eq!(preview.is(200).json(), expected);
}

#[tokio::test]
async fn the_next_run_is_told() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.advance_ms(1_234);
    let job = service.get("/v1/maintenance", Some(&admin)).await.json()["jobs"][0].clone();
    let expected = json!({
        "name": "purge",
        "schedule": "0 */5 * * * *",
        "next_run_at": "2026-11-24T09:05:00.000Z",
        "last_run": null,
        "last_success_at": null,
    });
    assert_eq!(job, expected);
}
