//! Refresh tokens in the journal: one client's families, traded in under load.
//!
//! Of a trade that was begun and not acknowledged, the refresh token that was sent may be sent again: it was not spent, or it was
//! and its successor is there, unused, within the grace. One that is spent without a successor would be taken for a copy, and its
//! family would end; so would one be found by counting, for each family that goes on has one refresh token that works.

use std::io;

use serde_json::{Value, json};

use super::{connection::Connection, due, random, text};
use crate::support::PASSWORD;

/// A client begins no more families while so many of its own go on.
const MOST: usize = 20;
/// Of each family so many sessions are looked at, the newest.
const SESSIONS: usize = 3;

/// One client's.
#[derive(Default)]
pub struct Families {
    username: String,
    all: Vec<Family>,
    /// A login was begun, and not acknowledged.
    logging_in: bool,
    /// Families of logins whose answer was lost: nobody holds them, and they are there.
    unheard: usize,
    pub counts: Counts,
}

/// What one login led to.
struct Family {
    /// The newest last.
    sessions: Vec<String>,
    /// The refresh token that was told last.
    refresh: String,
    /// Those that were traded, the newest last.
    spent: Vec<String>,
    state: State,
    cycle: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It goes on.
    Live,
    /// Its end was acknowledged, or was found to have happened: nothing of it ever works again.
    Ended,
    /// This was begun, and not acknowledged.
    Begun(Act),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Trade,
    /// A spent refresh token is sent whose successor was used.
    Replay,
    LogOut,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub begun: u64,
    pub traded: u64,
    pub replayed: u64,
    pub logged_out: u64,
}

impl Counts {
    pub fn plus(self, other: &Self) -> Self {
        Self {
            begun: self.begun + other.begun,
            traded: self.traded + other.traded,
            replayed: self.replayed + other.replayed,
            logged_out: self.logged_out + other.logged_out,
        }
    }
}

impl Families {
    pub fn of(username: &str) -> Self {
        Self { username: username.to_owned(), ..Self::default() }
    }

    /// Does one thing.
    pub fn work(&mut self, connection: &mut Connection, cycle: usize) -> io::Result<()> {
        let live: Vec<usize> = (0..self.all.len()).filter(|at| self.all[*at].state == State::Live).collect();
        let chosen = live.get(random(live.len().max(1))).copied();
        match (random(100), chosen) {
            (0..70, Some(at)) => self.trade(connection, at, cycle),
            (70..80, Some(at)) if self.all[at].spent.len() > 1 => self.replay(connection, at, cycle),
            (80..90, Some(at)) => self.log_out(connection, at, cycle),
            (_, Some(at)) if live.len() == MOST => self.trade(connection, at, cycle),
            _ => self.log_in(connection, cycle),
        }
    }

    fn log_in(&mut self, connection: &mut Connection, cycle: usize) -> io::Result<()> {
        self.logging_in = true;
        let login = json!({ "username": self.username, "password": PASSWORD, "refresh": true }).to_string();
        let (status, pair) = connection.ask("POST /v1/login", "none", &login)?;
        assert_eq!(status, 200, "{pair}");
        self.logging_in = false;
        self.counts.begun += 1;
        let (session, refresh) = (text(&pair, "token"), text(&pair, "refresh_token"));
        self.all.push(Family { sessions: vec![session], refresh, spent: Vec::new(), state: State::Live, cycle });
        Ok(())
    }

    fn trade(&mut self, connection: &mut Connection, at: usize, cycle: usize) -> io::Result<()> {
        let family = &mut self.all[at];
        (family.state, family.cycle) = (State::Begun(Act::Trade), cycle);
        let (status, pair) = connection.trade(&family.refresh)?;
        assert_eq!(status, 200, "a refresh token that is good for a trade: {pair}");
        family.traded(&pair);
        self.counts.traded += 1;
        Ok(())
    }

    fn replay(&mut self, connection: &mut Connection, at: usize, cycle: usize) -> io::Result<()> {
        let family = &mut self.all[at];
        (family.state, family.cycle) = (State::Begun(Act::Replay), cycle);
        let copied = &family.spent[family.spent.len() - 2];
        let (status, answer) = connection.trade(copied)?;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "a copy");
        family.state = State::Ended;
        self.counts.replayed += 1;
        Ok(())
    }

    fn log_out(&mut self, connection: &mut Connection, at: usize, cycle: usize) -> io::Result<()> {
        let family = &mut self.all[at];
        (family.state, family.cycle) = (State::Begun(Act::LogOut), cycle);
        let (status, answer) = connection.ask("POST /v1/logout", family.session(), "")?;
        assert_eq!(status, 204, "{answer}");
        family.state = State::Ended;
        self.counts.logged_out += 1;
        Ok(())
    }

    /// Looks at what became of them, as the user of this session.
    pub fn verify(&mut self, connection: &mut Connection, session: &str, cycle: usize, all: bool) {
        let whole = self.count(|state| matches!(state, State::Live | State::Begun(Act::Trade)));
        let may_be = self.count(|state| matches!(state, State::Begun(Act::Replay | Act::LogOut)));
        let found = working(connection, session);
        let least = whole + self.unheard;
        let most = least + may_be + usize::from(self.logging_in);
        assert!((least..=most).contains(&found), "{found} refresh tokens work, of {least} to {most} families");
        if std::mem::take(&mut self.logging_in) {
            self.unheard += found - least;
        }
        for (at, family) in self.all.iter_mut().enumerate() {
            if due(at, cycle, all) || family.cycle + 1 >= cycle {
                self.counts.traded += u64::from(family.verify(connection));
            }
        }
        assert_eq!(working(connection, session), self.count(|state| state == State::Live) + self.unheard);
    }

    fn count(&self, which: impl Fn(State) -> bool) -> usize {
        self.all.iter().filter(|family| which(family.state)).count()
    }
}

impl Family {
    fn session(&self) -> &str {
        self.sessions.last().unwrap()
    }

    fn traded(&mut self, pair: &Value) {
        self.sessions.push(text(pair, "access_token"));
        let surplus = self.sessions.len().saturating_sub(SESSIONS);
        self.sessions.drain(..surplus);
        self.spent.push(std::mem::replace(&mut self.refresh, text(pair, "refresh_token")));
        self.state = State::Live;
    }

    /// Whether it goes on; then its refresh token has been traded, which is how that is known.
    fn verify(&mut self, connection: &mut Connection) -> bool {
        let works: Vec<bool> = self.sessions.iter().map(|session| works(connection, session)).collect();
        assert!(works.iter().all(|it| *it == works[0]), "half of a family ended, in {:?}: {works:?}", self.state);
        match self.state {
            State::Live | State::Begun(Act::Trade) => assert!(works[0], "a family is lost, in {:?}", self.state),
            State::Ended => assert!(!works[0], "a family that had ended goes on"),
            State::Begun(Act::Replay | Act::LogOut) => {}
        }
        let (status, pair) = connection.trade(&self.refresh).unwrap();
        if works[0] {
            assert_eq!(status, 200, "a family cannot go on, in {:?}: {pair}", self.state);
            self.traded(&pair);
            assert!(self::works(connection, self.session()), "what a trade yielded does not work");
        } else {
            assert_eq!((status, &pair["error"]), (400, &json!("invalid_grant")), "in {:?}", self.state);
            self.state = State::Ended;
        }
        works[0]
    }
}

fn works(connection: &mut Connection, session: &str) -> bool {
    let (status, told) = connection.ask("GET /v1/check", session, "").unwrap();
    assert!([200, 401].contains(&status), "{status} {told}");
    status == 200
}

/// How many refresh tokens of this session's user work.
fn working(connection: &mut Connection, session: &str) -> usize {
    let (status, page) = connection.ask("GET /v1/tokens?kind=refresh&state=active&limit=200", session, "").unwrap();
    assert_eq!((status, &page["next_cursor"]), (200, &Value::Null), "{page}");
    page["items"].as_array().unwrap().len()
}
