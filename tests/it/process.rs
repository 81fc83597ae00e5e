//! The program as a person starts it: over a real socket, with real signals.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, Instant},
};

use daypass::{clock::Clock, token::secret::TokenSecret};
use entity::{
    maintenance_run,
    maintenance_run::{Outcome, Trigger},
    token::{self, Kind},
};
use sea_orm::{ColumnTrait, Database as Connect, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;

use crate::{
    replicas::NEVER,
    support::{
        PASSWORD,
        database::Database,
        process::{Served, daypass, json_of, run},
        rows,
    },
};

#[test]
fn the_first_start_makes_a_database_and_an_administrator() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::start(folder.path(), &mut daypass(folder.path()));
    let printed = served.stdout();
    let password = printed.split("with the password ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let login = served.post_json("/v1/login", &json!({ "username": "admin", "password": password }));
    let token = json_of(&login)["token"].as_str().unwrap().to_owned();
    let me = served.request(&format!("GET /v1/me HTTP/1.1\r\nAuthorization: Bearer {token}"), "");
    assert!(me.starts_with("HTTP/1.1 200"), "{me}");
    let check = served.request(&format!("HEAD /v1/check HTTP/1.1\r\nAuthorization: {token}"), "");
    assert!(check.contains("remote-user: admin") && check.ends_with("\r\n\r\n"), "{check}");
    let chunked = served.request("POST /v1/login HTTP/1.1\r\nContent-Type: application/json\r\nX: y", "{");
    assert!(chunked.starts_with("HTTP/1.1 400"), "{chunked}");

    served.signal("TERM");
    assert!(served.wait().success(), "{}", served.stderr());
    assert!(served.stderr().lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert!(served.stderr().contains("\"trigger\"") || served.stderr().contains("stopped"));
    assert!(!served.stderr().contains(&password) && !served.stderr().contains(&token));
    drop(served);

    let again = Served::start(folder.path(), &mut daypass(folder.path()));
    assert_eq!(again.stdout(), "", "the password is shown once");
    let me = again.request(&format!("GET /v1/me HTTP/1.1\r\nAuthorization: Bearer {token}"), "");
    assert!(me.starts_with("HTTP/1.1 200"), "an acknowledged token outlives the process: {me}");
}

#[test]
fn a_token_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = daypass(folder.path());
        command.env("DAYPASS_ADMIN_PASSWORD", "correct horse battery staple");
        Served::start(folder.path(), &mut command)
    };
    let mut served = start();
    let login = json!({ "username": "admin", "password": "correct horse battery staple" });
    let token = json_of(&served.post_json("/v1/login", &login))["token"].as_str().unwrap().to_owned();
    let revoked = json_of(&served.post_json("/v1/login", &login))["token"].as_str().unwrap().to_owned();
    let logout = served.request(&format!("POST /v1/logout HTTP/1.1\r\nAuthorization: Bearer {revoked}"), "");
    assert!(logout.starts_with("HTTP/1.1 204"), "{logout}");
    served.signal("KILL");
    served.wait();
    let served = start();
    let check = |token: &str| served.request(&format!("GET /v1/check HTTP/1.1\r\nAuthorization: {token}"), "");
    assert!(check(&token).starts_with("HTTP/1.1 200"));
    assert!(check(&revoked).starts_with("HTTP/1.1 401"));
}

/// What guards against copies and guesses is in the database: a restart makes neither good.
#[tokio::test]
async fn what_was_copied_or_guessed_before_a_kill_is_no_better_after_it() {
    let (database, folder) = (Database::create().await, tempfile::tempdir().unwrap());
    let start = || {
        let mut command = daypass(folder.path());
        command.env("DAYPASS_DATABASE_URL", database.url()).env("DAYPASS_ADMIN_PASSWORD", PASSWORD);
        Served::start(folder.path(), &mut command)
    };
    let login = |served: &Served, password: &str| {
        served.post_json("/v1/login", &json!({ "username": "admin", "password": password, "refresh": true }))
    };
    let trade = |served: &Served, refresh: &str| {
        let head = "POST /oauth/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded";
        served.request(head, &format!("grant_type=refresh_token&refresh_token={refresh}"))
    };
    let text = |answer: &str, name: &str| json_of(answer)[name].as_str().unwrap().to_owned();
    let mut served = start();
    let first = text(&login(&served, PASSWORD), "refresh_token");
    let second = text(&trade(&served, &first), "refresh_token");
    let third = trade(&served, &second);
    let (access, third) = (text(&third, "access_token"), text(&third, "refresh_token"));
    for _ in 0..5 {
        assert!(login(&served, "a guess").starts_with("HTTP/1.1 401"));
    }
    served.signal("KILL");
    served.wait();
    let served = start();
    for password in ["a guess", "another"] {
        assert!(login(&served, password).starts_with("HTTP/1.1 429"), "{}", served.stderr());
    }
    let check = || served.request(&format!("GET /v1/check HTTP/1.1\r\nAuthorization: Bearer {access}"), "");
    assert!(check().starts_with("HTTP/1.1 200"));
    let copied = trade(&served, &first);
    assert!(copied.starts_with("HTTP/1.1 400") && copied.contains("invalid_grant"), "{copied}");
    assert!(check().starts_with("HTTP/1.1 401"), "the family has ended");
    assert!(trade(&served, &third).contains("invalid_grant"));
}

/// Whatever others may do with files that are made, and whoever may see what runs.
#[test]
fn its_files_are_its_owners_and_its_command_line_tells_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let program = daypass(folder.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$0\" serve"]).arg(program.get_program()).current_dir(folder.path()).env_clear();
    shell.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let served = Served::start(folder.path(), shell.env("DAYPASS_ADMIN_PASSWORD", PASSWORD));
    let login = served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD }));
    assert!(login.starts_with("HTTP/1.1 200"), "{login}");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("daypass.db") {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
            files.push(name);
        }
    }
    files.sort();
    assert_eq!(files, ["daypass.db", "daypass.db-shm", "daypass.db-wal"]);
    let command_line = std::fs::read(format!("/proc/{}/cmdline", served.id())).unwrap();
    assert!(command_line.starts_with(program.get_program().as_encoded_bytes()));
    assert!(!String::from_utf8_lossy(&command_line).contains("correct horse"));
    // Nor can one be given there: passwords and tokens are read from standard input.
    for command in ["serve", "user add", "user passwd", "client add", "client rotate", "token check", "token revoke"] {
        let help = run(daypass(folder.path()).args(command.split(' ')).arg("--help"), "").stdout;
        let help = String::from_utf8(help).unwrap().to_lowercase();
        assert!(help.contains("usage:"), "{command}: {help}");
        for placeholder in ["<password>", "<token>", "<secret>", "[token]", "[password]", "[secret]"] {
            assert!(!help.contains(placeholder), "{command}: {help}");
        }
    }
}

#[test]
fn a_chunked_body_without_length_is_limited_too() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &mut daypass(folder.path()));
    let mut stream = served.connect();
    let head =
        "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 16 * 1024, " ".repeat(16 * 1024));
    // The service may close before all of it was taken.
    for _ in 0..5 {
        drop(stream.write_all(chunk.as_bytes()));
    }
    drop(stream.write_all(b"0\r\n\r\n"));
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[test]
fn a_request_in_flight_is_finished_after_the_signal() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    command.env("DAYPASS_ADMIN_PASSWORD", "correct horse battery staple");
    let mut served = Served::start(folder.path(), &mut command);
    let body = json!({ "username": "admin", "password": "correct horse battery staple" }).to_string();
    let mut stream = served.connect();
    let head = format!(
        "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let (first, rest) = body.split_at(10);
    stream.write_all(head.as_bytes()).unwrap();
    // The service has the request's head, and waits for the body, before it has the signal.
    let mut interim = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(first.as_bytes()).unwrap();
    served.signal("INT");
    served.until(|| std::net::TcpStream::connect(served.address).is_err().then_some(()));
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(served.wait().success());
}

#[test]
fn half_a_request_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::start(folder.path(), &mut daypass(folder.path()));
    let mut stream = served.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let asked = std::time::Instant::now();
    served.signal("TERM");
    assert!(served.wait().success());
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
}

#[test]
fn a_stop_is_announced_while_requests_are_answered_still() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    let mut served = Served::start(folder.path(), command.env("DAYPASS_SHUTDOWN_DELAY", "5s"));
    let ask = |stream: &mut std::net::TcpStream, path: &str| {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut piece = [0; 4096];
        let length = std::io::Read::read(stream, &mut piece).unwrap();
        String::from_utf8_lossy(&piece[..length]).into_owned()
    };
    let (mut before, mut idle) = (served.connect(), served.connect());
    for stream in [&mut before, &mut idle] {
        let answer = ask(stream, "/v1/check");
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("connection: close"), "{answer}");
    }
    let began = Instant::now();
    served.signal("TERM");
    let ready = served.until(|| Some(served.request("GET /readyz HTTP/1.1", "")).filter(|it| it.contains(" 503 ")));
    assert_eq!(json_of(&ready)["parts"][0]["name"], "shutdown", "{ready}");
    // A connection from before is not closed without a word, nor is a new one refused.
    let answer = ask(&mut before, "/v1/check");
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
    let answer = ask(&mut served.connect(), "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5), "the machine is too slow to tell");
    // One that nobody uses ends with the delay.
    assert_eq!(std::io::Read::read(&mut idle, &mut [0; 1]).unwrap(), 0);
    assert!(served.wait().success(), "{}", served.stderr());
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(12)).contains(&took), "it took {took:?}");
}

#[test]
fn plain_http_for_others_must_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(daypass(folder.path()).args(["serve", "--listen", "0.0.0.0:0"]), "");
    assert_eq!(refused.status.code(), Some(2));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("--insecure-plain-http") && why.contains("trusted_proxies"), "{why}");
    assert!(!folder.path().join("daypass.db").exists(), "nothing was touched");
}

#[test]
fn a_weak_first_password_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    let refused = run(command.env("DAYPASS_ADMIN_PASSWORD", "admin1234").env("DAYPASS_LISTEN", "127.0.0.1:0"), "");
    assert_eq!(refused.status.code(), Some(2));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("DAYPASS_ADMIN_PASSWORD is no good as a password") && !why.contains("admin1234"), "{why}");
}

#[test]
fn an_address_that_is_taken_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(daypass(folder.path()).args(["--listen", &address]), "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains(&format!("cannot listen on {address}")));
}

#[test]
fn without_migrating_a_schema_that_is_behind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(daypass(folder.path()).args(["serve", "--no-migrate", "--listen", "127.0.0.1:0"]), "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("daypass migrate up"));
}

#[test]
fn the_purge_runs_at_start_and_on_schedule() {
    let folder = tempfile::tempdir().unwrap();
    // The run at start is left out where one of the schedule is under way already, so each has a process of its own. There is
    // nothing to do but wait: the schedule is the wall clock's, and the run at start comes within a few seconds.
    for (schedule, trigger) in [("0 0 0 1 1 *", "start"), ("* * * * * *", "schedule")] {
        let mut command = daypass(folder.path());
        command.env("DAYPASS_ADMIN_PASSWORD", PASSWORD).env("DAYPASS_MAINTENANCE__PURGE_SCHEDULE", schedule);
        let served = Served::start(folder.path(), &mut command);
        let login = served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD }));
        let bearer = format!("Authorization: Bearer {}", json_of(&login)["token"].as_str().unwrap());
        served.until(|| {
            let runs = served.request(&format!("GET /v1/maintenance/runs?job=purge HTTP/1.1\r\n{bearer}"), "");
            let runs = json_of(&runs)["items"].clone();
            let done = |run: &serde_json::Value| run["outcome"] == "done" && run["trigger"] == trigger;
            runs.as_array().unwrap().iter().any(done).then_some(())
        });
    }
}

/// The batch in hand is finished and recorded, and the rest is left to whoever comes next.
#[tokio::test]
async fn a_purge_under_way_ends_with_its_batch_when_the_service_stops() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    command.env("DAYPASS_ADMIN_PASSWORD", PASSWORD).env("DAYPASS_MAINTENANCE__BATCH_SIZE", "50");
    command.env("DAYPASS_MAINTENANCE__PURGE_SCHEDULE", NEVER.1);
    let mut served = Served::start(folder.path(), &mut command);
    let login = served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD }));
    let bearer = format!("Authorization: Bearer {}", json_of(&login)["token"].as_str().unwrap());
    // The run at the start would take what is meant for this one.
    served.until(|| {
        let runs = json_of(&served.request(&format!("GET /v1/maintenance/runs?job=purge HTTP/1.1\r\n{bearer}"), ""));
        (runs["items"][0]["outcome"] == "done").then_some(())
    });
    let db = Connect::connect(format!("sqlite://{}", folder.path().join("daypass.db").display())).await.unwrap();
    let now = Clock::System.now();
    rows::fill(&db, now, 50_000, 10).await;
    let answer = served.request(&format!("POST /v1/maintenance/purge HTTP/1.1\r\n{bearer}"), "");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    served.until(|| {
        let runs = json_of(&served.request(&format!("GET /v1/maintenance/runs?job=purge HTTP/1.1\r\n{bearer}"), ""));
        let begun = |run: &&serde_json::Value| run["trigger"] == "api" && run["deleted"]["expired"].as_i64() > Some(0);
        runs["items"].as_array().unwrap().iter().find(begun).map(drop)
    });
    served.signal("TERM");
    assert!(served.wait().success(), "{}", served.stderr());

    let record = maintenance_run::Entity::find()
        .filter(maintenance_run::Column::Job.eq("purge"))
        .filter(maintenance_run::Column::Trigger.eq(Trigger::Api));
    let record = record.one(&db).await.unwrap().unwrap();
    assert_eq!((record.outcome, record.finished_at.is_some()), (Some(Outcome::Cancelled), true));
    let left = token::Entity::find().filter(token::Column::ExpiresAt.lte(now)).count(&db).await.unwrap();
    assert!(record.deleted_expired > 0 && left > 0, "{} deleted, {left} left", record.deleted_expired);
    assert_eq!(record.deleted_expired.unsigned_abs() + left, 50_000, "the record is exact");
    let purged = run(daypass(folder.path()).args(["purge", "--json"]), "").stdout;
    let purged: serde_json::Value = serde_json::from_slice(&purged).unwrap();
    assert_eq!((&purged["outcome"], &purged["deleted"]["expired"]), (&json!("done"), &json!(left)));
}

#[test]
fn maintenance_is_told_by_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let served =
        Served::start(folder.path(), daypass(folder.path()).env("DAYPASS_MAINTENANCE__PURGE_SCHEDULE", NEVER.1));
    // Each job runs, once, within a few seconds of the start, and what all replicas know is looked at every two.
    let metrics = served.until(|| {
        let metrics = served.request("GET /metrics HTTP/1.1", "");
        let known = |job| {
            let name = format!("daypass_maintenance_last_success_age_seconds{{task=\"{job}\"}} ");
            let age = metrics.lines().find_map(|line| line.strip_prefix(name.as_str())?.parse::<f64>().ok());
            age.is_some_and(|age| (0.0..30.0).contains(&age))
        };
        (known("purge") && known("sqlite") && metrics.contains("daypass_purge_backlog 0")).then_some(metrics)
    });
    for line in [
        "daypass_maintenance_runs_total{task=\"purge\",outcome=\"done\"} 1",
        "daypass_maintenance_runs_total{task=\"purge\",outcome=\"clock\"} 0",
        "daypass_maintenance_runs_total{task=\"history\",outcome=\"lost_lease\"} 0",
        "daypass_logins_total{outcome=\"locked_out\"} 0",
        "daypass_maintenance_lease_held{task=\"purge\"} 0",
        "daypass_purge_deleted_total{reason=\"expired\"} 0",
        "daypass_maintenance_batch_duration_seconds_count{task=\"purge\"} 3",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn what_checks_remember_is_told_by_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), daypass(folder.path()).env("DAYPASS_ADMIN_PASSWORD", PASSWORD));
    let login = json_of(&served.post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD })));
    let unknown = TokenSecret::generate("dp", Kind::Session, Uuid::from_u128(1)).unwrap();
    served.until(|| {
        for token in [login["token"].as_str().unwrap(), unknown.expose()] {
            served.request(&format!("GET /v1/check HTTP/1.1\r\nAuthorization: Bearer {token}"), "");
        }
        let metrics = served.request("GET /metrics HTTP/1.1", "");
        let told = |of| metrics.contains(&format!("daypass_check_cache_entries{{of=\"{of}\"}} 1\n"));
        (told("tokens") && told("refusals")).then_some(())
    });
}

/// What was measured is kept sample by sample until then, and nobody need ever ask for the metrics.
#[test]
fn the_metrics_are_tidied_without_being_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), daypass(folder.path()).env("DAYPASS_LOG__LEVEL", "trace"));
    served.until(|| served.stderr().contains("the metrics are tidy").then_some(()));
}

#[test]
fn a_database_file_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    let url = "sqlite://a%20b%23c.db";
    assert!(run(command.args(["migrate", "up", "--database-url", url]), "").status.success());
    assert!(folder.path().join("a b#c.db").exists());
    assert!(!folder.path().join("a%20b%23c.db").exists());
}
