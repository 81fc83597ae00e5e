//! A database that is away, slow, silent, full, locked or not the one it was: answers stay true, and all is well again within ten
//! seconds of the database's being so, without a restart. The numbers are those of the list of faults that the service is built
//! against (F1 to F17).

use std::{
    fs::{OpenOptions, Permissions},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, sleep},
    time::{Duration, Instant},
};

use entity::user;
use sea_orm::{
    ConnectionTrait, Database as Connect, DatabaseConnection, EntityTrait, QuerySelect, Statement, TransactionTrait,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    PASSWORD,
    database::Database,
    process::{Served, daypass, json_of, run},
    proxy::{Proxy, Way},
    server::Server,
};

/// The promise: how long after the database is well again everything is.
const RECOVERY: Duration = Duration::from_secs(10);

/// The promise: `check.max_staleness`, by default, and what a request takes.
const STALENESS: Duration = Duration::from_millis(1500);

/// How long an answer may take: a statement's time, a connection's, and the way.
const DEADLINE: Duration = Duration::from_secs(6);

/// A service whose database has a fault, and what it acknowledged before.
struct Subject {
    served: Served,
    session: String,
    live: Vec<String>,
    revoked: Vec<String>,
    folder: TempDir,
}

impl Subject {
    fn start(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path(), url);
        Self::with(folder, &mut command)
    }

    fn with(folder: TempDir, command: &mut Command) -> Self {
        let served = Served::start(folder.path(), command);
        let login = json!({ "username": "admin", "password": PASSWORD });
        let session = json_of(&served.post_json("/v1/login", &login))["token"].as_str().unwrap().to_owned();
        let mut subject = Self { served, session, live: Vec::new(), revoked: Vec::new(), folder };
        for _ in 0..6 {
            assert_eq!(subject.issue(), 201);
        }
        for _ in 0..3 {
            assert_eq!(subject.revoke(), 204);
        }
        subject
    }

    fn send(&self, line: &str, token: &str, body: &str) -> String {
        let head = format!("{line} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json");
        self.served.request(&head, body)
    }

    /// Issues a token; it is live if that is acknowledged.
    fn issue(&mut self) -> u16 {
        let answer = self.send("POST /v1/tokens", &self.session, "{}");
        if status(&answer) == 201 {
            self.live.push(json_of(&answer)["token"].as_str().unwrap().to_owned());
        }
        status(&answer)
    }

    /// Revokes the oldest token; it is dead if that is acknowledged, and else nobody knows.
    fn revoke(&mut self) -> u16 {
        let token = self.live.remove(0);
        let answer = status(&self.send("DELETE /v1/tokens/current", &token, ""));
        if answer == 204 {
            self.revoked.push(token);
        }
        answer
    }

    fn check(&self, token: &str) -> u16 {
        status(&self.send("GET /v1/check", token, ""))
    }

    fn ready(&self) -> u16 {
        status(&self.served.request("GET /readyz HTTP/1.1", ""))
    }

    /// What was acknowledged is so, or is not known at the moment; it is never denied. Tells whether all of it was known.
    fn tells_the_truth(&self) -> bool {
        let mut known = true;
        for (tokens, right) in [(&self.live, 200), (&self.revoked, 401)] {
            for token in tokens {
                let began = Instant::now();
                let whole = self.send("GET /v1/check", token, "");
                let answer = status(&whole);
                assert!(answer == right || answer == 503, "{right} is right: {whole}: {}", self.served.stderr());
                assert!(began.elapsed() < DEADLINE, "it took {:?}", began.elapsed());
                known &= answer == right;
            }
        }
        known
    }

    /// Nothing can be changed, and everybody is told so in time.
    fn cannot_write(&mut self) {
        let began = Instant::now();
        let answer = self.issue();
        assert_eq!(answer, 503, "{}", self.served.stderr());
        assert!(began.elapsed() < DEADLINE, "it took {:?}", began.elapsed());
    }

    /// All is well within the time that is promised.
    fn recovers(&mut self) {
        let began = Instant::now();
        while !(self.ready() == 200 && self.tells_the_truth() && self.issue() == 201) {
            assert!(began.elapsed() < RECOVERY, "it does not recover: {}", self.served.stderr());
            sleep(Duration::from_millis(100));
        }
        assert_eq!(self.revoke(), 204);
        assert!(self.tells_the_truth());
        assert_eq!(status(&self.served.request("GET /healthz HTTP/1.1", "")), 200);
    }
}

fn status(answer: &str) -> u16 {
    answer.get("HTTP/1.1 ".len()..).and_then(|rest| rest[..3].parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

fn command(folder: &Path, url: &str) -> Command {
    let mut command = daypass(folder);
    command
        .env("DAYPASS_DATABASE_URL", url)
        .env("DAYPASS_ADMIN_PASSWORD", PASSWORD)
        .env("DAYPASS_DATABASE__MAX_CONNECTIONS", "4")
        .env("DAYPASS_DATABASE__STATEMENT_TIMEOUT", "3s");
    command
}

/// A database on the suite's server, behind a proxy; none where the suite runs on `SQLite`.
async fn behind_a_proxy() -> Option<(Proxy, String)> {
    let database = Database::create().await;
    let mut url = url::Url::parse(database.url()).unwrap();
    let port = url.port()?;
    let proxy = Proxy::start(([127, 0, 0, 1], port).into());
    url.set_port(Some(proxy.address.port())).unwrap();
    Some((proxy, url.to_string()))
}

fn suite_is_on_sqlite() -> bool {
    std::env::var_os("DAYPASS_TEST_DATABASE_URL").is_none()
}

/// Sends requests of several kinds at the same time, so that each connection is in use.
fn load(subject: &Subject) {
    thread::scope(|scope| {
        for number in 0..12 {
            scope.spawn(move || {
                let began = Instant::now();
                let login = json!({ "username": "admin", "password": PASSWORD }).to_string();
                let answer = match number % 3 {
                    0 => subject.send("GET /v1/tokens", &subject.session, ""),
                    1 => subject.send("POST /v1/tokens", &subject.session, "{}"),
                    _ => subject.send("POST /v1/login", "", &login),
                };
                assert!([200, 201, 503].contains(&status(&answer)), "{answer}");
                assert!(began.elapsed() < 2 * DEADLINE, "{number} took {:?}", began.elapsed());
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f3b_a_database_that_was_silent_is_found_again_without_a_restart() {
    let Some((proxy, url)) = behind_a_proxy().await else { return };
    let mut subject = Subject::start(&url);
    // All connections are in use when it happens.
    proxy.set(Way::Slow(Duration::from_millis(400)));
    thread::scope(|scope| {
        scope.spawn(|| load(&subject));
        sleep(Duration::from_millis(200));
        proxy.set(Way::Silent);
    });
    sleep(STALENESS);
    subject.cannot_write();
    assert_eq!(subject.check(&subject.live[0].clone()), 503, "what is remembered is too old");
    assert_eq!((subject.ready(), subject.check("dps_nonsense")), (503, 401));
    proxy.set(Way::Pass);
    subject.recovers();
    // Also where some places were left: those that were lost are back.
    subject.served.until(|| subject.served.stderr().contains("all of them were replaced").then_some(()));
    assert!(subject.tells_the_truth());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f3b_a_service_ends_while_its_database_is_silent() {
    let Some((proxy, url)) = behind_a_proxy().await else { return };
    let mut subject = Subject::start(&url);
    proxy.set(Way::Silent);
    load(&subject);
    subject.served.signal("TERM");
    assert!(subject.served.wait().success(), "{}", subject.served.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_a_database_that_cannot_be_reached_is_503_and_found_again() {
    let Some((proxy, url)) = behind_a_proxy().await else { return };
    let mut subject = Subject::start(&url);
    for _ in 0..3 {
        proxy.set(Way::Cut);
        sleep(STALENESS);
        subject.tells_the_truth();
        subject.cannot_write();
        assert_eq!(subject.ready(), 503);
        proxy.set(Way::Pass);
        subject.recovers();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f3_a_slow_database_makes_answers_late_or_503_and_never_wrong() {
    let Some((proxy, url)) = behind_a_proxy().await else { return };
    let mut subject = Subject::start(&url);
    proxy.set(Way::Slow(Duration::from_millis(30)));
    load(&subject);
    assert!(subject.tells_the_truth(), "that is slow, and no more");
    proxy.set(Way::Slow(Duration::from_secs(8)));
    sleep(STALENESS);
    subject.tells_the_truth();
    subject.cannot_write();
    proxy.set(Way::Pass);
    subject.recovers();
}

/// The way back of a `BEGIN` that nobody waits for any more: whoever gets that connection next must not write into a transaction
/// of which nobody knows, and be told that it is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f3_a_transaction_that_began_too_late_is_not_left_open() {
    let Some((proxy, url)) = behind_a_proxy().await else { return };
    let second = Duration::from_secs(1);
    let settings = daypass::config::Database {
        max_connections: 1,
        acquire_timeout: second,
        statement_timeout: second,
        ..daypass::config::Database::default()
    };
    let db = daypass::db::Db::open(&url, &settings).await.unwrap();
    let other = one_connection(&url).await.unwrap();
    db.writer().execute_unprepared("CREATE TABLE probe (n INT)").await.unwrap();
    // A connection is looked at before it goes back.
    tokio::time::sleep(second).await;
    proxy.set(Way::Slow(db.deadline() + second));
    db.begin().await.expect_err("it is too slow");
    proxy.set(Way::Pass);
    tokio::time::sleep(2 * second).await;
    db.writer().execute_unprepared("INSERT INTO probe VALUES (1)").await.unwrap();
    let rows = other.query_all_raw(Statement::from_string(other.get_database_backend(), "SELECT n FROM probe"));
    assert_eq!(rows.await.unwrap().len(), 1, "what was acknowledged is there for everybody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_a_database_that_is_killed_or_stopped_loses_nothing_that_was_acknowledged() {
    let Some(server) = Server::start() else { return };
    let database = Database::on(&server.url).await;
    let mut subject = Subject::start(database.url());
    for what in ["kill", "stop", "kill"] {
        thread::scope(|scope| {
            scope.spawn(|| load(&subject));
            server.does(what);
        });
        sleep(STALENESS);
        subject.tells_the_truth();
        subject.cannot_write();
        server.does("again");
        subject.recovers();
    }
    assert!(!subject.served.stderr().contains("may not survive"), "its settings are those of a server in earnest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_a_server_without_free_connections_is_503_and_not_401() {
    let Some(server) = Server::start() else { return };
    let database = Database::on(&server.url).await;
    let mut subject = Subject::start(database.url());
    let mut taken = Vec::new();
    while let Ok(connection) = one_connection(database.url()).await {
        taken.push(connection);
    }
    // The one that it has is needed for everything now.
    load(&subject);
    subject.tells_the_truth();
    for connection in taken {
        connection.close().await.unwrap();
    }
    subject.recovers();
}

async fn one_connection(url: &str) -> Result<DatabaseConnection, sea_orm::DbErr> {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).min_connections(1).sqlx_logging(false).acquire_timeout(Duration::from_secs(1));
    Connect::connect(options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_rows_that_somebody_holds_are_waited_for_until_the_deadline() {
    let Some((_proxy, url)) = behind_a_proxy().await else { return };
    let mut subject = Subject::start(&url);
    let holder = one_connection(&url).await.unwrap();
    let held = holder.begin().await.unwrap();
    user::Entity::find().lock_exclusive().all(&held).await.unwrap();
    subject.cannot_write();
    assert!(subject.tells_the_truth(), "who reads waits for nobody");
    held.rollback().await.unwrap();
    subject.recovers();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f8_a_server_that_takes_no_changes_still_answers_checks() {
    let Some(server) = Server::start() else { return };
    let database = Database::on(&server.url).await;
    let root = one_connection(database.url()).await.unwrap();
    let mut url = url::Url::parse(database.url()).unwrap();
    let (refuse, allow): (&[&str], &[&str]) = if server.is_postgres() {
        (
            &["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
            &["ALTER SYSTEM SET default_transaction_read_only = off", "SELECT pg_reload_conf()"],
        )
    } else {
        // Whoever may do everything may write there all the same.
        root.execute_unprepared("CREATE USER daypass@'127.0.0.1'").await.unwrap();
        let grant = format!("GRANT ALL ON {}.* TO daypass@'127.0.0.1'", url.path().trim_start_matches('/'));
        root.execute_unprepared(&grant).await.unwrap();
        url.set_username("daypass").unwrap();
        (&["SET GLOBAL read_only = ON"], &["SET GLOBAL read_only = OFF"])
    };
    let mut subject = Subject::start(url.as_str());
    for statement in refuse {
        root.execute_unprepared(statement).await.unwrap();
    }
    subject.served.until(|| (subject.send("POST /v1/tokens", &subject.session, "{}").contains(" 503 ")).then_some(()));
    subject.cannot_write();
    sleep(STALENESS);
    assert!(subject.tells_the_truth(), "there is nothing that keeps it from reading");
    for statement in allow {
        root.execute_unprepared(statement).await.unwrap();
    }
    subject.recovers();
}

/// A service on an `SQLite` file, in a folder of its own.
fn on_a_file() -> (Subject, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daypass.db");
    let mut command = command(folder.path(), "sqlite://daypass.db");
    (Subject::with(folder, &mut command), file)
}

/// The file is whole, and what it says is what was acknowledged.
async fn is_whole(file: &Path) {
    let db = one_connection(&format!("sqlite://{}", file.display())).await.unwrap();
    let check = Statement::from_string(db.get_database_backend(), "PRAGMA integrity_check");
    let found: String = db.query_one_raw(check).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(found, "ok");
    db.close().await.unwrap();
}

/// The log of `SQLite` grows only when something is committed: what fails is the commit itself. The service's own log, on the
/// same disk, has no room either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f8_a_disk_that_is_full_at_the_commit_is_503_and_nothing_acknowledged_is_lost() {
    if !suite_is_on_sqlite() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daypass.db");
    let program = command(folder.path(), "sqlite://daypass.db");
    // Whoever ignores the signal is told by an error, as on a disk that is full.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\""]).arg(program.get_program()).current_dir(folder.path()).env_clear();
    shell.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut subject = Subject::with(folder, &mut shell);
    let size = std::fs::metadata(file.with_extension("db-wal")).unwrap().len();
    subject.served.limit_files(&(size + 50_000).to_string());
    let mut refused = 0;
    for _ in 0..60 {
        refused += u32::from(subject.issue() == 503);
    }
    assert!(refused > 10, "the disk was never full");
    assert!(subject.tells_the_truth(), "there is nothing that keeps it from reading");
    assert_eq!(subject.revoke(), 503);
    subject.served.limit_files("unlimited");
    subject.recovers();
    let Subject { mut served, live, revoked, session, folder } = subject;
    served.signal("KILL");
    served.wait();
    is_whole(&file).await;
    let served = Served::start(folder.path(), &mut command(folder.path(), "sqlite://daypass.db"));
    assert!(Subject { served, session, live, revoked, folder }.tells_the_truth());
}

/// Nobody reads the log, and there is no room for it.
#[test]
fn f8_a_log_that_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = command(folder.path(), "sqlite://daypass.db");
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" 2> /dev/full"]).arg(program.get_program()).current_dir(folder.path()).env_clear();
    shell.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut subject = Subject::with(folder, &mut shell);
    subject.recovers();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_a_file_that_somebody_writes_to_can_be_read_and_is_waited_for() {
    if !suite_is_on_sqlite() {
        return;
    }
    let (mut subject, file) = on_a_file();
    let other = one_connection(&format!("sqlite://{}", file.display())).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let began = Instant::now();
    let (refused, waited) = (subject.issue(), began.elapsed());
    assert_eq!(refused, 503, "{}", subject.served.stderr());
    assert!(waited < Duration::from_secs(9), "it took {waited:?}");
    assert!(subject.tells_the_truth(), "who reads waits for nobody");
    other.execute_unprepared("ROLLBACK").await.unwrap();
    subject.recovers();
}

/// A copy that somebody makes of it while it is used is whole, and nobody waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_backups_that_are_made_all_the_time_disturb_nobody() {
    if !suite_is_on_sqlite() {
        return;
    }
    let (mut subject, file) = on_a_file();
    let stop = Arc::new(AtomicBool::new(false));
    let (until, from) = (Arc::clone(&stop), format!("sqlite://{}", file.display()));
    let backups = tokio::spawn(async move {
        let db = one_connection(&from).await.unwrap();
        let mut made = Vec::new();
        while !until.load(Ordering::Relaxed) || made.is_empty() {
            let copy = file.with_extension(format!("{}.copy", made.len()));
            db.execute_unprepared(&format!("VACUUM INTO '{}'", copy.display())).await.unwrap();
            made.push(copy);
        }
        made
    });
    for _ in 0..100 {
        assert_eq!(subject.issue(), 201, "{}", subject.served.stderr());
        assert_eq!(subject.revoke(), 204);
    }
    assert!(subject.tells_the_truth());
    stop.store(true, Ordering::Relaxed);
    for copy in backups.await.unwrap() {
        is_whole(&copy).await;
    }
}

#[test]
fn f16_a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daypass.db");
    std::fs::write(&file, "Dear diary, ".repeat(1000)).unwrap();
    let refused = run(&mut command(folder.path(), "sqlite://daypass.db"), "");
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("file is not a database"), "{why}");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("Dear diary"));
    let missing = run(&mut command(folder.path(), "sqlite://nowhere/daypass.db"), "");
    let why = String::from_utf8(missing.stderr).unwrap();
    assert!(missing.status.code() == Some(1) && why.contains("cannot create nowhere/daypass.db"), "{why}");
}

/// Somebody who may read the file and nothing else finds out at the start, and not when the first token is to be issued.
#[test]
fn f16_a_file_that_may_only_be_read_is_refused() {
    if !suite_is_on_sqlite() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daypass.db");
    assert!(run(command(folder.path(), "sqlite://daypass.db").args(["migrate", "up"]), "").status.success());
    let before = std::fs::read(&file).unwrap();
    for (path, mode) in [(file.as_path(), 0o444), (folder.path(), 0o555)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    // Root may write to everything: it has to be somebody else.
    let program = command(folder.path(), "sqlite://daypass.db");
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut as_other = Command::new(if is_root { "setpriv" } else { "env" });
    if is_root {
        as_other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    as_other.arg(program.get_program()).current_dir(folder.path()).env_clear();
    as_other
        .envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))))
        .env("DAYPASS_LISTEN", "127.0.0.1:0");
    let refused = run(&mut as_other, "");
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("readonly") || why.contains("read-only") || why.contains("unable to open"), "{why}");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(std::fs::read(&file).unwrap() == before, "nothing was changed");
}

/// Of a database that is somebody else's, nothing is touched: where a table of ours would be in the way of one of theirs, nothing
/// is made at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_a_database_of_another_program_is_refused_and_left_as_it_is() {
    if !suite_is_on_sqlite() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daypass.db");
    let theirs = one_connection(&format!("sqlite://{}?mode=rwc", file.display())).await.unwrap();
    theirs.execute_unprepared("CREATE TABLE token (theirs TEXT); INSERT INTO token VALUES ('theirs')").await.unwrap();
    let refused = run(&mut command(folder.path(), "sqlite://daypass.db"), "");
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("table \"token\" already exists"), "{why}");
    let tables = Statement::from_string(theirs.get_database_backend(), "SELECT group_concat(name) FROM sqlite_schema");
    let tables: String = theirs.query_one_raw(tables).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(tables, "token");
}

/// The same on servers, of a table that one of the last steps makes: it is not taken for one that was left half done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_a_table_of_another_program_is_not_taken_for_ours() {
    if suite_is_on_sqlite() {
        return;
    }
    let database = Database::create().await;
    let theirs = one_connection(database.url()).await.unwrap();
    theirs.execute_unprepared("CREATE TABLE audit_event (id INT PRIMARY KEY, what TEXT)").await.unwrap();
    theirs.execute_unprepared("INSERT INTO audit_event VALUES (7, 'theirs')").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let refused = run(&mut command(folder.path(), database.url()), "");
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("audit_event") && why.contains("already exists"), "{why}");
    let theirs_still =
        Statement::from_string(theirs.get_database_backend(), "SELECT what FROM audit_event WHERE id = 7");
    assert!(theirs.query_one_raw(theirs_still).await.unwrap().is_some());
}

/// What is written to a file that has no name any more is lost with the process.
#[test]
fn f16_a_file_that_is_moved_or_replaced_is_not_written_to() {
    if !suite_is_on_sqlite() {
        return;
    }
    let (mut subject, file) = on_a_file();
    let elsewhere = file.with_extension("moved");
    for replacement in [false, true] {
        std::fs::rename(&file, &elsewhere).unwrap();
        if replacement {
            std::fs::copy(&elsewhere, &file).unwrap();
        }
        subject.cannot_write();
        assert_eq!(subject.ready(), 503);
        sleep(STALENESS);
        assert!(subject.live.iter().all(|token| subject.check(token) == 503), "nobody knows");
        assert!(subject.served.request("GET /readyz HTTP/1.1", "").contains("no longer the file that was opened"));
        std::fs::rename(&elsewhere, &file).unwrap();
        subject.recovers();
    }
}

/// As a disk does that returns something else than was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_a_file_that_is_damaged_while_it_is_used_makes_no_token_unknown() {
    if !suite_is_on_sqlite() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daypass.db");
    let mut subject = Subject::with(folder, &mut command(file.parent().unwrap(), "sqlite://daypass.db"));
    // What was written goes from the log to the file, and with a new process nothing is remembered of it.
    subject.served.signal("TERM");
    assert!(subject.served.wait().success());
    subject.served = Served::start(subject.folder.path(), &mut command(subject.folder.path(), "sqlite://daypass.db"));
    let good = std::fs::read(&file).unwrap();
    let pages = OpenOptions::new().write(true).open(&file).unwrap();
    for at in (4096..good.len()).step_by(4096) {
        pages.write_all_at(&[0xa5; 4096], at.try_into().unwrap()).unwrap();
    }
    assert!(!subject.tells_the_truth(), "there was nothing to be read");
    sleep(STALENESS);
    subject.tells_the_truth();
    pages.write_all_at(&good, 0).unwrap();
    // Pages that were read meanwhile are remembered as they were: it takes a restart.
    subject.served.signal("KILL");
    subject.served.wait();
    subject.served = Served::start(subject.folder.path(), &mut command(subject.folder.path(), "sqlite://daypass.db"));
    subject.recovers();
    is_whole(&file).await;
}

/// What the settings of the database mean for what is promised is said at the start, once for each.
#[tokio::test]
async fn f1b_settings_that_weaken_the_promise_are_warned_of_at_the_start() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), database.url());
    // The servers of the suite do not wait for the disk.
    let (setting, value) = match database.url().split(':').next().unwrap() {
        "postgres" => ("fsync", "off"),
        "mysql" => ("innodb_flush_log_at_trx_commit", "0"),
        _ => {
            command.env("DAYPASS_DATABASE__SQLITE_DURABILITY", "normal");
            ("synchronous", "1")
        }
    };
    let served = Served::start(folder.path(), &mut command);
    let log = served.stderr();
    let warnings: Vec<Value> = log
        .lines()
        .filter(|line| line.contains("may not survive"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [warning] = warnings.as_slice() else { panic!("{log}") };
    assert_eq!(
        (&warning["level"], &warning["setting"], &warning["value"]),
        (&json!("WARN"), &json!(setting), &json!(value))
    );
    assert!(warning["message"].as_str().unwrap().contains("power loss"), "{warning}");
}
