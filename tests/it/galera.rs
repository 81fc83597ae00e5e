//! Three processes on the three nodes of a Galera cluster, each on its own, while one node dies and comes back.
//!
//! `tests/run` starts the cluster; the nodes are taken away and brought back by `tests/support/galera.sh`.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use daypass::{clock::Clock, id};
use entity::{
    DigestAlgorithm, Scopes, Timestamp, TokenDigest, maintenance_run,
    maintenance_run::{Model as Run, Outcome},
    token,
    token::Kind,
    user,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, Database, DatabaseConnection, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QueryOrder,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{
    PASSWORD,
    process::{Served, daypass, json_of},
};

/// The promise: `check.max_staleness`, by default.
const STALENESS: Duration = Duration::from_secs(1);

/// A killed node is missed after five seconds, and until then nothing commits anywhere; rejoining holds writes up again.
const PATIENCE: Duration = Duration::from_mins(1);

/// Stale rows come in waves, so that there is always something to purge: before, while and after the node is away.
const WAVES: usize = 10;
const WAVE: usize = 100;

/// More than a purge gets done before the node is gone.
const FLOOD: usize = 1000;

const LIVE: usize = 200;

/// The cluster, and an empty database on it.
struct Cluster {
    folder: String,
    urls: Vec<String>,
}

impl Cluster {
    async fn create() -> Self {
        let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run"));
        let nodes = variable("DAYPASS_TEST_GALERA_URLS");
        let name = format!("t{}", id::new(now()).simple());
        let first = Database::connect(nodes.split(',').next().unwrap()).await.expect("the first node answers");
        first.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        first.close().await.unwrap();
        let urls = nodes.split(',').map(|node| {
            let mut url = url::Url::parse(node).unwrap();
            url.set_path(&name);
            url.to_string()
        });
        Self { folder: variable("DAYPASS_TEST_GALERA_DIR"), urls: urls.collect() }
    }

    /// A connection to a node (0 to 2) that waits, before it reads, for what was committed on the others.
    async fn connect(&self, node: usize) -> DatabaseConnection {
        let mut options = sea_orm::ConnectOptions::new(&self.urls[node]);
        options.max_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await.unwrap();
        connection.execute_unprepared("SET SESSION wsrep_sync_wait = 1").await.unwrap();
        connection
    }

    fn serve(&self, node: usize) -> (TempDir, Served) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = daypass(folder.path());
        command
            .env("DAYPASS_DATABASE_URL", &self.urls[node])
            .env("DAYPASS_ADMIN_PASSWORD", PASSWORD)
            .env("DAYPASS_MAINTENANCE__PURGE_SCHEDULE", "* * * * * *")
            .env("DAYPASS_MAINTENANCE__RETAIN_EXPIRED", "0s")
            .env("DAYPASS_MAINTENANCE__RETAIN_REVOKED", "0s")
            // Small, so that a node dies between two batches, or in one.
            .env("DAYPASS_MAINTENANCE__BATCH_SIZE", "10");
        let served = Served::start(folder.path(), &mut command);
        (folder, served)
    }

    /// What the script calls a node counts from 1.
    fn node(&self, what: &str, node: usize) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/galera.sh");
        let status = Command::new(script).args([what, &self.folder, &(node + 1).to_string()]).status().unwrap();
        assert!(status.success(), "{what} node {node}");
    }
}

fn now() -> Timestamp {
    Clock::System.now()
}

fn request(served: &Served, line: &str, token: &str) -> String {
    served.request(&format!("{line} HTTP/1.1\r\nAuthorization: Bearer {token}"), "")
}

fn status(answer: &str) -> u16 {
    answer["HTTP/1.1 ".len()..][..3].parse().unwrap()
}

fn check(served: &Served, token: &str) -> u16 {
    status(&request(served, "GET /v1/check", token))
}

/// Asks until it is so: replicas agree in time, not at once.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(50));
    }
}

fn issue(served: &Served, session: &str) -> Value {
    let head = format!("POST /v1/tokens HTTP/1.1\r\nAuthorization: Bearer {session}\r\nContent-Type: application/json");
    let answer = served.request(&head, "{}");
    assert_eq!(status(&answer), 201, "{answer}");
    json_of(&answer)
}

fn secret(token: &Value) -> &str {
    token["token"].as_str().unwrap()
}

/// Tokens that ended yesterday and changed an hour ago; a third of them were revoked, the rest have expired.
async fn strew(db: &DatabaseConnection, owner: Uuid, many: usize) -> usize {
    let rows = (0..many).map(|number| {
        let revoked = number % 3 == 0;
        let yesterday = now().minus(Duration::from_hours(24));
        let end = if revoked { now().plus_seconds(3600) } else { yesterday };
        let id = id::new(yesterday.minus(Duration::from_hours(1)));
        let mut digest = [0; 32];
        digest[..16].copy_from_slice(id.as_bytes());
        let row = token::Model {
            id,
            kind: Kind::Api,
            digest_algorithm: DigestAlgorithm::Sha256,
            digest: TokenDigest::new(digest),
            previous_digest: None,
            previous_expires_at: None,
            hint: "gone".to_owned(),
            name: Some("stale".to_owned()),
            user_id: Some(owner),
            client_id: None,
            scopes: Scopes::default(),
            ttl: 3600,
            idle_timeout: None,
            created_at: yesterday.minus(Duration::from_hours(1)),
            expires_at: end,
            ttl_expires_at: end,
            max_expires_at: end,
            last_used_at: None,
            revoked_at: revoked.then_some(yesterday),
            changed_at: now().minus(Duration::from_hours(1)),
        };
        row.into_active_model().reset_all()
    });
    token::Entity::insert_many(rows).exec_without_returning(db).await.unwrap();
    many
}

/// How many of them are left.
async fn strewn(db: &DatabaseConnection) -> u64 {
    token::Entity::find().filter(token::Column::Name.eq("stale")).count(db).await.unwrap()
}

/// Checks tokens at all three, again and again, until told to stop; answers how often which said what. Whatever happens to
/// this test, the thread ends, and with it the processes.
struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<BTreeMap<(usize, u16), u64>>>,
}

impl Traffic {
    fn start(servers: &Arc<[Served; 3]>, live: &[Value]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, servers, live) = (Arc::clone(&stop), Arc::clone(servers), live.to_vec());
        let thread = thread::spawn(move || {
            let mut answers = BTreeMap::new();
            for token in live.iter().cycle() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                for (at, server) in servers.iter().enumerate() {
                    *answers.entry((at, check(server, secret(token)))).or_default() += 1;
                }
                sleep(Duration::from_millis(20));
            }
            answers
        });
        Self { stop, thread: Some(thread) }
    }

    fn end(mut self) -> BTreeMap<(usize, u16), u64> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run tests/run for three nodes of a Galera cluster, of which one dies"]
async fn a_node_that_dies_costs_no_token_and_no_stale_row_stays() {
    let cluster = Cluster::create().await;
    // The lock that guards schema steps is a node's own: the others start once the schema is there, on their node too.
    let one = cluster.serve(0);
    let db = cluster.connect(0).await;
    for node in [1, 2] {
        let owners = user::Entity::find().count(&cluster.connect(node).await).await.unwrap();
        assert_eq!(owners, 1, "node {node} has what the first start made");
    }
    let (two, three) = (cluster.serve(1), cluster.serve(2));
    let (folders, servers) = ([one.0, two.0, three.0], Arc::new([one.1, two.1, three.1]));

    let login = servers[0].post_json("/v1/login", &json!({ "username": "admin", "password": PASSWORD }));
    let session = secret(&json_of(&login)).to_owned();
    let everywhere = |token: &str| servers.iter().all(|server| check(server, token) == 200);
    until("the session works everywhere", || everywhere(&session));
    let mut live: Vec<Value> = (0..LIVE).map(|number| issue(&servers[number % 3], &session)).collect();
    until("the newest token works everywhere", || everywhere(secret(&live[LIVE - 1])));

    let owner = user::Entity::find().one(&db).await.unwrap().unwrap().id;
    let traffic = Traffic::start(&servers, &live);
    let mut stale = 0;
    for _ in 0..WAVES {
        stale += strew(&db, owner, WAVE).await;
    }
    // The node dies under a purge that goes on there, not beside one elsewhere.
    loop {
        // Whoever purges now must come to an end.
        if strewn(&db).await == 0 {
            stale += strew(&db, owner, FLOOD).await;
        }
        let started = status(&request(&servers[1], "POST /v1/maintenance/purge", &session));
        if started == 202 {
            break;
        }
        assert_eq!(started, 409, "another server may be purging");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.node("kill", 1);
    for _ in 0..WAVES {
        // The first of these waits until the others have given the dead node up.
        stale += strew(&db, owner, WAVE).await;
        live.push(issue(&servers[0], &session));
        live.push(issue(&servers[2], &session));
    }
    cluster.node("restart", 1);
    until("the server on that node answers again", || check(&servers[1], &session) == 200);
    for _ in 0..WAVES {
        stale += strew(&db, owner, WAVE).await;
        live.extend(servers.iter().map(|server| issue(server, &session)));
    }
    let began = Instant::now();
    while strewn(&db).await > 0 {
        assert!(began.elapsed() < PATIENCE, "{} stale rows stay", strewn(&db).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let answers = traffic.end();
    // Until a dead node is given up, nothing commits and reads wait: what is not sure is answered 503, and never 401.
    let wrong = answers.keys().filter(|(_, status)| ![200, 503].contains(status));
    assert_eq!(wrong.count(), 0, "{answers:?}");
    for at in 0..3 {
        let served = |status| answers.get(&(at, status)).copied().unwrap_or(0);
        assert!(served(200) > 4 * served(503), "server {at} was away for longer than its node: {answers:?}");
    }
    for token in &live {
        assert!(everywhere(secret(token)), "{} was lost", token["id"]);
    }
    let kept = token::Entity::find().filter(token::Column::Kind.eq(Kind::Api)).count(&db).await.unwrap();
    assert_eq!(kept, u64::try_from(live.len()).unwrap());

    let ended = live.pop().unwrap();
    let path = format!("DELETE /v1/tokens/{}", ended["id"].as_str().unwrap());
    assert_eq!(status(&request(&servers[0], &path, &session)), 204);
    // The promise is about time, so time has to pass.
    sleep(STALENESS);
    for server in &servers[1..] {
        assert_eq!(check(server, secret(&ended)), 401, "what one ends the others refuse within a second");
    }

    let mut servers = Arc::into_inner(servers).unwrap();
    for server in &mut servers {
        server.signal("TERM");
        assert!(server.wait().success(), "{}", server.stderr());
    }
    let runs = maintenance_run::Entity::find().order_by_asc(maintenance_run::Column::StartedAt).all(&db).await.unwrap();
    the_runs_add_up(&runs, stale);
    drop(folders);
}

/// Every stale row was counted once, and of one job no run began before the last had ended.
fn the_runs_add_up(runs: &[Run], stale: usize) {
    let deleted: i64 = runs.iter().map(|run| run.deleted_expired + run.deleted_revoked).sum();
    assert_eq!(deleted, i64::try_from(stale).unwrap(), "{runs:#?}");
    assert!(runs.iter().any(|run| run.outcome == Some(Outcome::Done)), "{runs:#?}");
    let mut last: BTreeMap<&str, &Run> = BTreeMap::new();
    for run in runs {
        if let Some(before) = last.insert(&run.job, run) {
            let ended = before.finished_at.unwrap_or_else(|| panic!("it never ended: {before:?}"));
            assert!(ended <= run.started_at, "these overlap: {before:?} and {run:?}");
        }
    }
}
