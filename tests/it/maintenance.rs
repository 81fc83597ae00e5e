//! `/v1/maintenance`: what the purge did, does and would do.

use daypass::maintenance::{
    self, Manner, history,
    job::Job,
    lease::{self, Taken},
};
use entity::maintenance_run::Trigger;
use serde_json::json;

use crate::support::{
    Service, days,
    rows::{a_token, insert, insert_rows},
    seconds,
};

async fn run(service: &Service, job: Job) {
    maintenance::run(&service.app, job, Trigger::Cli, Manner::default(), &mut ()).await.unwrap();
}

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
    let begun = history::begun(Job::Purge, "elsewhere/7", Trigger::Schedule, service.now());
    let Taken::Held(lease, None) = lease::take(&service.app.db, Job::Purge, &begun, None).await.unwrap() else {
        panic!()
    };
    let refused = service.post("/v1/maintenance/purge", Some(&admin), json!({})).await;
    let detail = refused.is_problem(409).text_of("detail");
    assert!(detail.contains("already running on elsewhere/7, since 2026-11-24T09:00:00.000Z"), "{detail}");
    let job = service.get("/v1/maintenance", Some(&admin)).await.json()["jobs"][0].clone();
    assert_eq!(job["holder"], "elsewhere/7");

    lease.release(&service.app.db, &begun).await.unwrap();
    service.post("/v1/maintenance/purge", Some(&admin), json!({})).await.is(202);
    service.app.maintenance.stop().await;
}

#[tokio::test]
async fn the_runs_of_one_job_can_be_asked_for() {
    let service = Service::start().await;
    let admin = service.admin().await;
    for job in [Job::Purge, Job::Counters, Job::Purge] {
        run(&service, job).await;
    }
    for (query, number) in [("", 3), ("?job=purge", 2), ("?job=counters", 1), ("?job=sqlite", 0)] {
        let runs = service.get(&format!("/v1/maintenance/runs{query}"), Some(&admin)).await.member("items");
        assert_eq!(runs.as_array().unwrap().len(), number, "{query}");
    }
    let refused = service.get("/v1/maintenance/runs?job=pruge", Some(&admin)).await;
    assert!(refused.is_about(400, "job").text_of("detail").contains("one of purge, changes"));
}

#[tokio::test]
async fn what_was_missed_is_noticed_and_made_up_for() {
    let service = Service::start().await;
    let due = async || maintenance::watch::look(&service.app).await.unwrap();
    assert_eq!(due().await, []);
    // At 09:04 none of the purge's times has come; that of `changes`, `counters` and `rotations` was served by nobody.
    service.advance(seconds(4 * 60));
    let at = |time: &str| format!("2026-11-24T{time}Z").parse::<entity::Timestamp>().unwrap();
    let missed = [(Job::Changes, at("09:01:30")), (Job::Counters, at("09:02:00")), (Job::Rotations, at("09:03:00"))];
    assert_eq!(due().await, missed);
    for (job, tick) in missed {
        let manner = Manner { tick: Some(tick), ..Manner::default() };
        maintenance::run(&service.app, job, Trigger::Schedule, manner, &mut ()).await.unwrap();
    }
    assert_eq!(due().await, []);
    // A replica that is slow may still serve what came fourteen seconds ago.
    service.advance(seconds(60 + 14));
    assert_eq!(due().await, []);
    service.advance_ms(1);
    assert_eq!(due().await, [(Job::Purge, at("09:05:00"))]);
}

/// Above a bound the preview reads a few rows here and there; what it tells must still be about right.
#[tokio::test]
async fn of_many_tokens_the_preview_tells_about_how_many() {
    let service = Service::with(|config| config.tokens.session.ttl = days(29)).await;
    let admin = service.admin().await;
    service.fill(30_000, 20_000).await;
    // And many within one hour.
    let hour = service.now().millis() / 3_600_000 * 3_600_000 + 50 * 3_600_000;
    let ends = (0..6000).map(|number| entity::Timestamp::from_millis(hour + number * 600));
    insert(service.app.db.writer(), ends).await;
    let preview = service.get("/v1/maintenance/preview", Some(&admin)).await.is(200).json();
    assert_eq!(preview["estimated"], true);
    let about = |value: &serde_json::Value, number: f64| {
        let told = value.as_f64().unwrap();
        assert!((told / number - 1.0).abs() < 0.2, "{told} is not about {number}");
    };
    about(&preview["now"]["expired"], 30_000.0);
    let hours = preview["expiries"].as_array().unwrap();
    about(&hours.iter().map(|hour| hour["tokens"].as_f64().unwrap()).sum::<f64>().into(), 26_000.0);
    about(&hours[50]["tokens"], 6_120.0);
    assert_eq!(hours[50]["estimated"], true);
    assert!(hours[30]["estimated"] == true || hours[30]["tokens"].as_i64().unwrap() < 250, "{}", hours[30]);
    let backlog = service.get("/v1/maintenance", Some(&admin)).await.json();
    assert_eq!((&backlog["backlog"], &backlog["backlog_estimated"]), (&preview["now"]["expired"], &json!(true)));
}

/// Those that were made first may be those that ended last: none counts for less.
#[tokio::test]
async fn of_many_that_ended_in_one_hour_too() {
    let service = Service::with(|config| config.tokens.session.ttl = days(29)).await;
    let admin = service.admin().await;
    let hour = (service.now().millis() / 3_600_000 - 100) * 3_600_000;
    let rows = (0..20_000).map(|number| {
        let mut row = a_token(entity::Timestamp::from_millis(hour + number * 179));
        row.id = daypass::id::new(row.created_at.plus_seconds(-2 * number));
        row
    });
    insert_rows(service.app.db.writer(), rows).await;
    let preview = service.get("/v1/maintenance/preview", Some(&admin)).await.is(200).json();
    let told = preview["now"]["expired"].as_f64().unwrap();
    assert!((told / 20_000.0 - 1.0).abs() < 0.2 && preview["estimated"] == true, "{told}");
}

#[tokio::test]
async fn a_job_that_has_not_succeeded_for_three_of_its_periods_degrades_readiness_and_is_named() {
    let service = Service::start().await;
    service.user("admin", &[entity::Scopes::ADMIN]).await;
    let maintenance = async || service.get("/readyz", None).await.is(200).json()["parts"][3].clone();
    run(&service, Job::Purge).await;
    // Every five minutes it is due, and a minute is granted.
    service.advance(seconds(16 * 60));
    for job in [Job::Changes, Job::Counters, Job::Rotations, Job::History, Job::Sqlite] {
        run(&service, job).await;
    }
    assert_eq!(maintenance().await["status"], "ok");
    service.advance_ms(1);
    let part = maintenance().await;
    assert_eq!(part["status"], "degraded");
    assert_eq!(part["detail"], "purge has not got everything done since 2026-11-24T09:00:00.000Z");
    let session = service.login("admin", json!({})).await.token();
    let jobs = service.get("/v1/maintenance", Some(&session)).await.json()["jobs"].clone();
    assert_eq!((&jobs[0]["status"], &jobs[4]["status"]), (&json!("degraded"), &json!("ok")));
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
        "estimated": false,
    });
    let mut told = preview.is(200).json();
    let hours = told.as_object_mut().unwrap().remove("expiries").unwrap();
    assert_eq!(told, expected);
    // It is a minute past nine on the second day: the three days' token ends in 48 hours, the session in 27 days.
    let hours = hours.as_array().unwrap();
    let busy: Vec<_> = hours.iter().filter(|hour| hour["tokens"] != 0).collect();
    let expected = json!({ "from": "2026-11-27T09:00:00.000Z", "tokens": 1, "estimated": false });
    assert_eq!((hours.len(), busy), (168, vec![&expected]));
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
        "status": "ok",
        "detail": null,
        "holder": null,
        "last_run": null,
        "last_success_at": null,
    });
    assert_eq!(job, expected);
}
