//! What the machine could do at most: each measurement of `benches/run` that has a target stands beside one of these.
//!
//! ```text
//! limit serve ADDR constant        answer every request with the same body, as long as that of a check
//! limit serve ADDR headers         the same with as many headers as a check has
//! limit serve ADDR map TOKENS      the first after finding the token in memory and comparing its digest
//! limit sqlite FILE SECONDS        insert rows of the token table, 64 to a durable commit
//! limit postgres URL SECONDS       insert the same rows from 64 connections, each with a commit of its own
//! limit argon2 SECONDS             hash at the default cost on every core
//! ```
//!
//! The last three print how many they did in a second. `cargo bench` alone measures nothing: run `benches/run`.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, RwLock},
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use daypass::{clock::Clock, id};
use migration::{Migrator, MigratorTrait};
use poem::{
    EndpointExt, IntoResponse, Response, Route, Server, get, handler,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    listener::TcpListener,
    web::Data,
};
use sea_orm::{
    Database,
    sqlx::{
        self, Connection, PgConnection, SqliteConnection,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "this is run by benches/run; see the top of benches/limit.rs";

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", address, "constant"] => {
            Server::new(TcpListener::bind(address)).run(Route::new().at("/v1/check", get(constant))).await?;
        }
        ["serve", address, "headers"] => {
            Server::new(TcpListener::bind(address)).run(Route::new().at("/v1/check", get(with_headers))).await?;
        }
        ["serve", address, "map", tokens] => {
            let known = Arc::new(RwLock::new(read_tokens(tokens)?));
            let routes = Route::new().at("/v1/check", get(map)).data(known);
            Server::new(TcpListener::bind(address)).run(routes).await?;
        }
        ["sqlite", file, seconds] => println!("{:.1}", sqlite(file, duration(seconds)?).await?),
        ["postgres", url, seconds] => println!("{:.1}", postgres(url, duration(seconds)?).await?),
        ["argon2", seconds] => println!("{:.2}", argon2(duration(seconds)?)?),
        _ => eprintln!("{USAGE}"),
    }
    Ok(())
}

fn duration(seconds: &str) -> Outcome<Duration> {
    Ok(Duration::from_secs_f64(seconds.parse()?))
}

/// As long as what a check answers for a token with a name and a scope.
const BODY: &str = r#"{"active":true,"id":"01a20bf5-02d4-7297-96ce-a772f253713a","kind":"api","state":"active","name":"bench","hint":"lcD6","user":{"id":"01a20bf4-fbfa-7bdb-a129-b1d56e24e809","username":"user00"},"client_id":null,"scopes":["orders:read"],"created_at":"2026-11-24T05:08:55.881Z","expires_at":"2027-02-22T05:08:55.881Z","expires_in":7775999,"max_expires_at":"2027-11-24T05:08:55.881Z","idle_timeout":null,"last_used_at":"2026-11-24T05:08:56.881Z","revoked_at":null,"limited_by":"ttl"}"#;

fn answer() -> Response {
    BODY.with_content_type("application/json; charset=utf-8").into_response()
}

#[handler]
fn constant() -> Response {
    answer()
}

/// The headers that a check adds to those of any answer.
const HEADERS: [(&str, &str); 9] = [
    ("cache-control", "private, max-age=0"),
    ("remote-user", "user00"),
    ("x-daypass-user-id", "01a20bf4-fbfa-7bdb-a129-b1d56e24e809"),
    ("x-daypass-token-id", "01a20bf5-02d4-7297-96ce-a772f253713a"),
    ("x-daypass-scope", "orders:read"),
    ("x-daypass-expires-at", "2027-02-22T05:08:55.881Z"),
    ("x-content-type-options", "nosniff"),
    ("x-request-id", "8c2c0b1c8de1cf1d000000000000012d"),
    ("vary", "Authorization"),
];

#[handler]
fn with_headers() -> Response {
    let mut response = answer();
    let headers = response.headers_mut();
    headers.reserve(16);
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

type Known = Arc<RwLock<HashMap<String, [u8; 32]>>>;

#[handler]
fn map(headers: &HeaderMap, Data(known): Data<&Known>) -> Response {
    let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = presented.and_then(|value| value.strip_prefix("Bearer ")) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let works = known.read().is_ok_and(|known| known.get(token) == Some(&digest));
    if works { answer() } else { StatusCode::UNAUTHORIZED.into_response() }
}

fn read_tokens(file: &str) -> Outcome<HashMap<String, [u8; 32]>> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().map(|token| (token.to_owned(), Sha256::digest(token.as_bytes()).into())).collect())
}

/// A row such as issuing writes; both databases read this statement.
const INSERT: &str = "
    INSERT INTO token (id, kind, digest_algorithm, digest, hint, name, user_id, scopes, ttl, created_at, expires_at,
                       ttl_expires_at, max_expires_at, changed_at)
    VALUES ($1, 'k', 1, $2, 'lcD6', 'bench', $3, 'orders:read', 7776000, $4, $4 + 7776000000, $4 + 7776000000,
            $4 + 31536000000, $4)";

const CLIENTS: usize = 64;

async fn sqlite(file: &str, time: Duration) -> Outcome<f64> {
    create_schema(&format!("sqlite://{file}?mode=rwc")).await?;
    let options = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let (began, mut rows, user) = (Instant::now(), 0, user());
    while began.elapsed() < time {
        let mut txn = connection.begin_with("BEGIN IMMEDIATE").await?;
        for _ in 0..CLIENTS {
            let now = Clock::System.now();
            let id = id::new(now);
            let digest = Sha256::digest(id.as_bytes());
            let insert = sqlx::query(INSERT).bind(id).bind(&digest[..]).bind(user).bind(now.millis());
            insert.execute(&mut *txn).await?;
        }
        txn.commit().await?;
        rows += CLIENTS;
    }
    per_second(rows, began)
}

async fn postgres(url: &str, time: Duration) -> Outcome<f64> {
    create_schema(url).await?;
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        connections.push(PgConnection::connect(url).await?);
    }
    let began = Instant::now();
    let clients = connections.into_iter().map(|connection| tokio::spawn(insert_until(connection, began + time)));
    let mut rows = 0;
    for client in clients.collect::<Vec<_>>() {
        rows += client.await??;
    }
    per_second(rows, began)
}

async fn insert_until(mut connection: PgConnection, end: Instant) -> Outcome<usize> {
    let (mut rows, user) = (0, user());
    while Instant::now() < end {
        let now = Clock::System.now();
        let id = id::new(now);
        let digest = Sha256::digest(id.as_bytes());
        let insert = sqlx::query(INSERT).bind(id).bind(&digest[..]).bind(user).bind(now.millis());
        insert.execute(&mut connection).await?;
        rows += 1;
    }
    Ok(rows)
}

/// The table with its indexes, as the service makes it. Nobody else is there, so no lock is taken.
async fn create_schema(url: &str) -> Outcome<()> {
    let database = Database::connect(url).await?;
    Migrator::up(&database, None).await?;
    database.close().await?;
    Ok(())
}

fn user() -> Uuid {
    id::new(Clock::System.now())
}

/// Each core hashes in memory of its own, which it keeps.
fn argon2(time: Duration) -> Outcome<f64> {
    let threads = thread::available_parallelism()?.get();
    let began = Instant::now();
    let cores: Vec<_> = (0..threads).map(|_| thread::spawn(move || hash_until(began + time))).collect();
    let mut hashes = 0;
    for core in cores {
        hashes += core.join().map_err(|_| "a hashing thread panicked")??;
    }
    per_second(hashes, began)
}

fn hash_until(end: Instant) -> Outcome<usize> {
    let params = Params::new(19_456, 2, 1, None)?;
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (mut digest, mut hashes) = ([0; 32], 0);
    while Instant::now() < end {
        argon2.hash_password_into_with_memory(
            b"violet lamps hum quietly",
            b"sixteen bytes...",
            &mut digest,
            &mut memory,
        )?;
        hashes += 1;
    }
    Ok(hashes)
}

fn per_second(done: usize, began: Instant) -> Outcome<f64> {
    Ok(f64::from(u32::try_from(done)?) / began.elapsed().as_secs_f64())
}
