//! Killed without warning, again and again, under load: what was acknowledged is so afterwards, and for ever.
//!
//! Clients keep a journal: what they are about to ask is in it before they ask, and what they were told after. Of what was begun
//! and not acknowledged either may be, but all of it or nothing. `tests/long crash` runs many cycles, the suite a few.

mod connection;
mod families;

use std::{
    io,
    path::Path,
    thread::{self, sleep},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, Database as Connect, Statement};
use serde_json::{Value, json};

use connection::Connection;
use families::Families;

use crate::support::{
    PASSWORD,
    database::Database,
    process::{Served, daypass},
};

/// A service is killed within this after its start.
const LIFE: Duration = Duration::from_millis(2500);
/// Each client is a user of its own, who does one thing after the other.
const CLIENTS: usize = 4;
/// Of what was settled in earlier cycles each restart looks at one part in so many, and the last at all.
const PARTS: usize = 10;

/// A token in the journal.
struct Entry {
    id: String,
    secret: String,
    /// As it was told last.
    expires_at: String,
    state: State,
    cycle: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was issued, and that was acknowledged.
    Live,
    /// Its end was acknowledged, or was found to have happened: it never works again.
    Dead,
    /// This was begun, and not acknowledged.
    Begun(Act),
}

/// What is done to a token. What is done to a refresh token stands in [`families`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Renew,
    Rotate,
    Revoke,
    /// All of the user's at once.
    RevokeAll,
}

/// One client's.
#[derive(Default)]
struct Journal {
    session: String,
    entries: Vec<Entry>,
    /// Secrets that an acknowledged rotation replaced.
    replaced: Vec<String>,
    families: Families,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    issued: u64,
    renewed: u64,
    rotated: u64,
    revoked: u64,
    revoked_all: u64,
    interrupted: u64,
}

impl Counts {
    fn plus(self, other: &Self) -> Self {
        Self {
            issued: self.issued + other.issued,
            renewed: self.renewed + other.renewed,
            rotated: self.rotated + other.rotated,
            revoked: self.revoked + other.revoked,
            revoked_all: self.revoked_all + other.revoked_all,
            interrupted: self.interrupted + other.interrupted,
        }
    }
}

impl Journal {
    /// Does one thing after the other until the service is gone.
    fn keep_working(&mut self, served: &Served, cycle: usize) {
        let mut connection = Connection::open(served);
        while self.work(&mut connection, cycle).is_ok() {}
        self.counts.interrupted += 1;
    }

    fn work(&mut self, connection: &mut Connection, cycle: usize) -> io::Result<()> {
        if random(3) == 0 {
            return self.families.work(connection, cycle);
        }
        let live: Vec<usize> =
            (0..self.entries.len()).rev().filter(|at| self.entries[*at].state == State::Live).take(50).collect();
        let chosen = live.get(random(live.len().max(1))).copied();
        match (random(100), chosen) {
            (0, _) => self.revoke_all(connection, cycle),
            (1..20, Some(at)) => self.change(connection, at, Act::Renew, cycle),
            (20..40, Some(at)) => self.change(connection, at, Act::Rotate, cycle),
            (40..60, Some(at)) => self.change(connection, at, Act::Revoke, cycle),
            _ => self.issue(connection, cycle),
        }
    }

    fn issue(&mut self, connection: &mut Connection, cycle: usize) -> io::Result<()> {
        let (status, token) = connection.ask("POST /v1/tokens", &self.session, r#"{"ttl": 86400}"#)?;
        assert_eq!(status, 201, "{token}");
        self.counts.issued += 1;
        self.entries.push(Entry {
            id: text(&token, "id"),
            secret: text(&token, "token"),
            expires_at: text(&token, "expires_at"),
            state: State::Live,
            cycle,
        });
        Ok(())
    }

    fn change(&mut self, connection: &mut Connection, at: usize, act: Act, cycle: usize) -> io::Result<()> {
        let entry = &mut self.entries[at];
        (entry.state, entry.cycle) = (State::Begun(act), cycle);
        let (line, body) = match act {
            Act::Renew => {
                (format!("POST /v1/tokens/{}/renew", entry.id), format!("{{\"ttl\": {}}}", 86_400 + random(86_400)))
            }
            Act::Rotate => (format!("POST /v1/tokens/{}/rotate", entry.id), "{}".to_owned()),
            Act::Revoke | Act::RevokeAll => (format!("DELETE /v1/tokens/{}", entry.id), String::new()),
        };
        let (status, answer) = connection.ask(&line, &self.session, &body)?;
        assert!([200, 204].contains(&status), "{act:?}: {status} {answer}");
        entry.state = State::Live;
        match act {
            Act::Renew => {
                entry.expires_at = text(&answer, "expires_at");
                self.counts.renewed += 1;
            }
            Act::Rotate => {
                self.replaced.push(std::mem::replace(&mut entry.secret, text(&answer, "token")));
                self.counts.rotated += 1;
            }
            Act::Revoke | Act::RevokeAll => {
                entry.state = State::Dead;
                self.counts.revoked += 1;
            }
        }
        Ok(())
    }

    fn revoke_all(&mut self, connection: &mut Connection, cycle: usize) -> io::Result<()> {
        let mut live: Vec<_> = self.entries.iter_mut().filter(|entry| entry.state == State::Live).collect();
        for entry in &mut live {
            (entry.state, entry.cycle) = (State::Begun(Act::RevokeAll), cycle);
        }
        let (status, answer) = connection.ask("POST /v1/logout-all?kinds=api", &self.session, "")?;
        assert_eq!(status, 200, "{answer}");
        for entry in live {
            entry.state = State::Dead;
        }
        self.counts.revoked_all += 1;
        Ok(())
    }

    /// Looks at what became of it all.
    fn verify(&mut self, served: &Served, cycle: usize, all: bool) {
        let mut connection = Connection::open(served);
        self.families.verify(&mut connection, &self.session, cycle, all);
        let mut together = Vec::new();
        for (at, entry) in self.entries.iter_mut().enumerate() {
            if !due(at, cycle, all) && entry.cycle + 1 < cycle {
                continue;
            }
            let (status, told) = connection.ask("GET /v1/check", &entry.secret, "").unwrap();
            let (before, id) = (entry.state, &entry.id);
            assert!([200, 401].contains(&status), "{id} in {before:?}: {status} {told}");
            let works = status == 200;
            match entry.state {
                State::Live => assert!(works, "{id} was acknowledged, and is lost: {told}"),
                State::Dead => assert!(!works, "{id} was revoked, and is alive"),
                State::Begun(Act::Renew) => assert!(works, "{id} was to be renewed, and is lost: {told}"),
                State::Begun(Act::Rotate) if !works => {
                    // Its new secret was on its way: nobody has it, and the token is there.
                    let (status, told) = connection.ask(&format!("GET /v1/tokens/{id}"), &self.session, "").unwrap();
                    assert_eq!((status, &told["state"]), (200, &json!("active")), "{id} is half rotated: {told}");
                }
                State::Begun(Act::Rotate | Act::Revoke) => {}
                State::Begun(Act::RevokeAll) => together.push(works),
            }
            if works {
                let expires_at = text(&told, "expires_at");
                let may_differ = before == State::Begun(Act::Renew) && expires_at > entry.expires_at;
                assert!(
                    expires_at == entry.expires_at || may_differ,
                    "{id} ends {expires_at}, not {}",
                    entry.expires_at
                );
                entry.expires_at = expires_at;
            }
            entry.state = if works { State::Live } else { State::Dead };
        }
        assert!(together.iter().all(|works| *works == together[0]), "half of a user's tokens were revoked");
        for (_, secret) in self.replaced.iter().enumerate().filter(|(at, _)| due(*at, cycle, all)) {
            let (status, _) = connection.ask("GET /v1/check", secret, "").unwrap();
            assert_eq!(status, 401, "a secret that was replaced works");
        }
    }
}

/// Whether this restart looks at what was settled long ago.
fn due(at: usize, cycle: usize, all: bool) -> bool {
    all || at % PARTS == cycle % PARTS
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

fn random(below: usize) -> usize {
    usize::try_from(getrandom::u32().unwrap()).unwrap() % below
}

fn start(folder: &Path, database: &Database) -> (Served, Duration) {
    let mut command = daypass(folder);
    command
        .env("DAYPASS_DATABASE_URL", database.url())
        .env("DAYPASS_ADMIN_PASSWORD", PASSWORD)
        .env("DAYPASS_LIMITS__LOGIN_PER_MINUTE_PER_IP", "0")
        // Maintenance is killed, too.
        .env("DAYPASS_MAINTENANCE__PURGE_SCHEDULE", "* * * * * *");
    let began = Instant::now();
    (Served::start(folder, &mut command), began.elapsed())
}

/// Users, each with a session of its own.
fn clients(served: &Served) -> Vec<Journal> {
    let mut connection = Connection::open(served);
    let mut login = |name: String| {
        let login = json!({ "username": name, "password": PASSWORD }).to_string();
        text(&connection.ask("POST /v1/login", "none", &login).unwrap().1, "token")
    };
    let admin = login("admin".to_owned());
    let mut users = Connection::open(served);
    (0..CLIENTS)
        .map(|number| {
            let name = format!("client{number}");
            let user = json!({ "username": name, "password": PASSWORD, "scopes": [] });
            let (status, made) = users.ask("POST /v1/users", &admin, &user.to_string()).unwrap();
            assert_eq!(status, 201, "{made}");
            Journal { families: Families::of(&name), session: login(name), ..Journal::default() }
        })
        .collect()
}

/// The file is whole, and its tables agree with one another.
async fn sqlite_is_whole(database: &Database) {
    if !database.url().starts_with("sqlite:") {
        return;
    }
    let db = Connect::connect(database.url()).await.unwrap();
    for (question, right) in [
        ("PRAGMA integrity_check", "ok"),
        (
            "SELECT CAST(COUNT(*) AS TEXT) FROM token WHERE user_id IS NOT NULL \
             AND id NOT IN (SELECT id FROM token_owner)",
            "0",
        ),
    ] {
        let question = Statement::from_string(db.get_database_backend(), question);
        let found: String = db.query_one_raw(question).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        assert_eq!(found, right);
    }
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_nothing_that_was_acknowledged_is_lost_when_the_service_is_killed() {
    let cycles = std::env::var("DAYPASS_TEST_CRASH_CYCLES").ok().map(|cycles| cycles.parse().unwrap());
    let on_sqlite = std::env::var_os("DAYPASS_TEST_DATABASE_URL").is_none();
    let (cycles, long) = (cycles.unwrap_or(if on_sqlite { 10 } else { 3 }), cycles.is_some());
    let database = Database::create().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut served, _) = start(folder.path(), &database);
    let mut journals = clients(&served);
    let mut slowest = Duration::ZERO;
    for cycle in 0..cycles {
        // The last one is long enough for some of everything.
        let part = if cycle + 1 == cycles { 255 } else { u8::try_from(random(256)).unwrap() };
        let life = LIFE.mul_f64(f64::from(part) / 255.0);
        thread::scope(|scope| {
            for journal in &mut journals {
                let served = &served;
                scope.spawn(move || journal.keep_working(served, cycle));
            }
            sleep(life);
            served.signal("KILL");
        });
        served.wait();
        let took;
        (served, took) = start(folder.path(), &database);
        slowest = slowest.max(took);
        if !on_sqlite {
            // A server may carry out the last word of who was killed a moment later.
            sleep(Duration::from_secs(1));
        }
        thread::scope(|scope| {
            for journal in &mut journals {
                let served = &served;
                scope.spawn(move || journal.verify(served, cycle + 1, cycle + 1 == cycles));
            }
        });
        if long && cycle % 10 == 9 {
            sqlite_is_whole(&database).await;
            println!("{} of {cycles} cycles", cycle + 1);
        }
    }
    sqlite_is_whole(&database).await;
    let counts = journals.iter().fold(Counts::default(), |counts, journal| counts.plus(&journal.counts));
    let families =
        journals.iter().fold(families::Counts::default(), |counts, journal| counts.plus(&journal.families.counts));
    println!("{cycles} cycles; slowest restart {slowest:?}; acknowledged: {counts:?}, {families:?}");
    assert!(counts.issued > 0 && counts.renewed > 0 && counts.rotated > 0 && counts.revoked > 0, "{counts:?}");
    assert!(families.begun > 0 && families.traded > 0 && families.replayed + families.logged_out > 0, "{families:?}");
    assert_eq!(counts.interrupted, u64::try_from(cycles * CLIENTS).unwrap());
    assert!(slowest < Duration::from_secs(if on_sqlite { 5 } else { 10 }), "a restart took {slowest:?}");
}
