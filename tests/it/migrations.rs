//! The schema: up and down on every engine, and every column round trip.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use daypass::db::{Engine, dialect, migrate};
use entity::{DigestAlgorithm, Scopes, Timestamp, TokenDigest, token};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, PaginatorTrait};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    PASSWORD, Service,
    database::Database,
    process::{Served, daypass, json_of, run},
};

#[tokio::test]
async fn every_step_goes_up_and_down_and_up_again() {
    let service = Service::start().await;
    let db = &service.app.db;
    let applied = async || migrate::status(db).await.unwrap().iter().filter(|step| step.applied).count();
    let all = migrate::status(db).await.unwrap().len();
    assert_eq!(applied().await, all);
    for left in (0..all).rev() {
        migrate::down(db, 1).await.unwrap();
        assert_eq!(applied().await, left);
    }
    migrate::up(db).await.unwrap();
    migrate::up(db).await.unwrap();
    assert_eq!(applied().await, all);
    service.session("alice", &[]).await;
    migrate::fresh(db).await.unwrap();
    service.session("alice", &[]).await;
}

#[tokio::test]
async fn what_is_written_is_read_back_to_the_millisecond() {
    let service = Service::start().await;
    let at = Timestamp::from_millis;
    let row = token::Model {
        id: Uuid::from_u128(u128::MAX / 3),
        kind: token::Kind::Refresh,
        digest_algorithm: DigestAlgorithm::Sha256,
        digest: TokenDigest::new([0; 32]),
        previous_digest: Some(TokenDigest::new([0xFF; 32])),
        previous_expires_at: Some(at(1)),
        hint: "aZ09".to_owned(),
        name: Some("\u{1f511} \\ \" ' trailing blank ".to_owned()),
        user_id: Some(Uuid::from_u128(7)),
        client_id: Some("client".to_owned()),
        scopes: Scopes::collect(["a", "B", "daypass:admin"]).unwrap(),
        ttl: i64::MAX,
        idle_timeout: Some(60),
        created_at: at(1_795_510_800_999),
        expires_at: Timestamp::MAX,
        ttl_expires_at: at(0),
        max_expires_at: at(-1),
        last_used_at: Some(at(4_294_967_296_001)),
        revoked_at: None,
        changed_at: at(2_147_483_648_001),
    };
    let insert = token::Entity::insert(row.clone().into_active_model().reset_all());
    insert.exec_without_returning(service.app.db.writer()).await.unwrap();
    let read = token::Entity::find_by_id(row.id).one(service.app.db.reader()).await.unwrap().unwrap();
    assert_eq!(read, row);
}

#[tokio::test]
async fn the_database_tells_its_time() {
    let service = Service::start().await;
    let system = daypass::clock::Clock::System.now();
    let skew = service.app.db.now().await.unwrap().millis_since(system);
    assert!(skew.abs() < 5_000, "{skew} ms");
}

/// Holds the lock under which a service's schema changes.
async fn lock_schema(service: &Service) -> DatabaseTransaction {
    let txn = service.app.db.begin().await.unwrap();
    if let Some(lock) = dialect::lock_schema(service.app.db.engine()) {
        txn.execute_unprepared(lock).await.unwrap();
    }
    txn
}

async fn unlock_schema(service: &Service, txn: DatabaseTransaction) {
    if let Some(unlock) = dialect::unlock_schema(service.app.db.engine()) {
        txn.execute_unprepared(unlock).await.unwrap();
    }
    txn.commit().await.unwrap();
}

/// However long: the limit on a statement's time does not hold here.
#[tokio::test]
async fn a_replica_waits_until_another_is_done_with_the_schema() {
    let service = Service::with(|config| config.database.statement_timeout = Duration::from_millis(100)).await;
    let replica = service.replica().await;
    let txn = lock_schema(&service).await;
    let waiting = tokio::spawn(async move { migrate::up(&replica.app.db).await });
    // The limit is the database's own, by its own clock.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished());
    unlock_schema(&service, txn).await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn another_databases_schema_is_not_waited_for() {
    let service = Service::start().await;
    let txn = lock_schema(&service).await;
    let other = tokio::time::timeout(Duration::from_secs(30), Service::start()).await;
    assert!(other.is_ok());
    unlock_schema(&service, txn).await;
}

fn migrate_up(folder: &Path, url: &str) -> Command {
    let mut command = daypass(folder);
    command.args(["migrate", "up"]).env("DAYPASS_DATABASE_URL", url);
    command
}

/// A process that is killed while it changes the schema of a database that is in use leaves nothing that the next one cannot go on
/// with, and no row is lost.
#[tokio::test]
async fn f14_a_schema_whose_making_was_killed_is_finished_by_the_next_one() {
    let service = Service::start().await;
    let (folder, db) = (tempfile::tempdir().unwrap(), &service.app.db);
    let url = service.app.config.database_url.clone();
    let session = service.session("alice", &["read"]).await;
    service.fill(2000, 500).await;
    let rows = token::Entity::find().count(db.reader()).await.unwrap();
    // As far as where tokens are: what comes later is taken back and made anew, over all of their rows.
    let later = u32::try_from(migrate::status(db).await.unwrap().len() - 2).unwrap();
    let up = || migrate_up(folder.path(), &url);
    migrate::down(db, later).await.unwrap();
    let began = Instant::now();
    assert!(run(&mut up(), "").status.success());
    let (mut killed, mut whole) = (0, began.elapsed());
    while killed < 8 {
        migrate::down(db, later).await.unwrap();
        let mut process = up().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(whole * killed / 8);
        drop(process.kill());
        if process.wait().unwrap().signal() == Some(9) {
            killed += 1;
        } else {
            // It was done before: the machine has less to do than when it was measured.
            whole = whole * 3 / 4;
        }
        let next = run(&mut up(), "");
        assert!(next.status.success(), "after {killed}: {}", String::from_utf8_lossy(&next.stderr));
        assert!(migrate::status(db).await.unwrap().iter().all(|step| step.applied));
        assert_eq!(token::Entity::find().count(db.reader()).await.unwrap(), rows);
        service.replica().await.check(&session).await.is(200);
    }
}

/// Where each statement is committed by itself, a step can be there without being on record, whole or in part.
#[tokio::test]
async fn f14_a_step_that_is_half_done_is_finished_where_it_can_be() {
    let service = Service::start().await;
    let db = &service.app.db;
    if db.engine() != Engine::MySql {
        return;
    }
    let sql = async |statement: &str| db.writer().execute_unprepared(statement).await.unwrap();
    for _ in 0..migrate::status(db).await.unwrap().len() {
        sql("DELETE FROM seaql_migrations ORDER BY version DESC LIMIT 1").await;
        migrate::up(db).await.unwrap();
        migrate::down(db, 1).await.unwrap();
    }
    migrate::up(db).await.unwrap();
    for half in [
        "DROP INDEX known_address_expires_at ON known_address",
        "DROP INDEX client_deleted_at ON client",
        "DROP INDEX maintenance_run_job ON maintenance_run",
        "ALTER TABLE maintenance_run DROP COLUMN deleted_other",
        "DROP INDEX token_revoked_at ON token",
    ] {
        sql(half).await;
    }
    sql("DELETE FROM seaql_migrations").await;
    migrate::up(db).await.unwrap();
    service.session("alice", &[]).await;
    // What took a step back was killed as well.
    sql("DROP TABLE known_address").await;
    sql("ALTER TABLE maintenance_run DROP COLUMN deleted_other").await;
    let all = u32::try_from(migrate::status(db).await.unwrap().len()).unwrap();
    migrate::down(db, all).await.unwrap();
    migrate::up(db).await.unwrap();
    service.session("alice", &[]).await;
}

/// All of them find a schema, and one first user.
#[tokio::test]
async fn f14_twenty_processes_may_start_at_once_on_an_empty_database() {
    let (database, folder) = (Database::create().await, tempfile::tempdir().unwrap());
    let (url, folder) = (database.url(), folder.path());
    thread::scope(|scope| {
        for number in 0..20 {
            scope.spawn(move || {
                // With two cores among them, a connection takes its time.
                let patience = ("DAYPASS_DATABASE__ACQUIRE_TIMEOUT", "20s");
                if number % 5 > 0 {
                    let made = run(migrate_up(folder, url).env(patience.0, patience.1), "");
                    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
                    return;
                }
                let folder = tempfile::tempdir().unwrap();
                let mut command = daypass(folder.path());
                command.env("DAYPASS_DATABASE_URL", url).env("DAYPASS_ADMIN_PASSWORD", PASSWORD);
                command.env("DAYPASS_DATABASE__MAX_CONNECTIONS", "4").env(patience.0, patience.1);
                let served = Served::start(folder.path(), &mut command);
                let login = json!({ "username": "admin", "password": PASSWORD });
                let token = json_of(&served.post_json("/v1/login", &login))["token"].as_str().unwrap().to_owned();
                let users = served.request(&format!("GET /v1/users HTTP/1.1\r\nAuthorization: Bearer {token}"), "");
                assert_eq!(json_of(&users)["items"].as_array().unwrap().len(), 1, "{users}");
            });
        }
    });
}
