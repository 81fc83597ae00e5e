//! The schema: up and down on every engine, and every column round trip.

use std::time::Duration;

use daypass::db::{dialect, migrate};
use entity::{DigestAlgorithm, Scopes, Timestamp, TokenDigest, token};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel};
use uuid::Uuid;

use crate::support::Service;

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
