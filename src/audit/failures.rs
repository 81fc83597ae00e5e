//! Logins that failed, and those that were turned away: noted in memory, and written behind.
//!
//! Such an attempt changes nothing but a counter, so there is no transaction that its event belongs to, and one of its own would
//! make the door slower for some names than for others. A flood of them must not fill the database either. So they are summed
//! up by user, address and reason, and written every few seconds: one row a second on the average, [`BURST`] at once, the
//! most frequent first; what is beyond that is one row with the sum. A process that is killed loses what it has not written,
//! [`FLUSH`] at the most.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use entity::{
    audit_event::{Event, Model},
    user,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{Actor, Done, Origin};
use crate::app::App;

/// How often what was noted is written.
pub const FLUSH: Duration = Duration::from_secs(5);
/// How many rows are written at once after a while without any.
pub const BURST: usize = 60;
/// How many different ones are kept apart in memory; what is beyond is only counted.
const APART: usize = 1000;

/// What was noted and is not written yet.
#[derive(Debug, Default)]
pub struct Failures(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    apart: HashMap<Attempt, Sum>,
    /// Those that were too many to be kept apart, by what happened.
    beyond: HashMap<Event, i64>,
    /// How many rows were written, less one for each second since: by the uptime of the last writing, in milliseconds.
    spent: (usize, i64),
}

/// What makes attempts alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// What became of it: [`Event::LoginFailed`] or [`Event::LockedOut`].
    pub event: Event,
    /// The canonical name, if what was typed can be one. It is looked up when it is written, so that its being somebody's takes
    /// the door no time.
    pub name: Option<String>,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// Why it was refused.
    pub reason: &'static str,
}

#[derive(Debug)]
struct Sum {
    count: i64,
    /// Of the last one.
    request_id: Option<String>,
}

impl Failures {
    /// Notes an attempt.
    pub fn note(&self, attempt: Attempt, origin: &Origin) {
        self.lock().add(attempt, Sum { count: 1, request_id: origin.request_id.clone() });
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn add(&mut self, attempt: Attempt, sum: Sum) {
        if self.apart.len() >= APART && !self.apart.contains_key(&attempt) {
            *self.beyond.entry(attempt.event).or_default() += sum.count;
            return;
        }
        let noted = self.apart.entry(attempt).or_insert(Sum { count: 0, request_id: None });
        noted.count += sum.count;
        noted.request_id = sum.request_id;
    }

    /// How many rows may be written by now.
    fn allowed(&mut self, uptime: i64) -> usize {
        let (spent, at) = self.spent;
        let seconds = usize::try_from((uptime - at) / 1000).unwrap_or(0);
        self.spent = (spent.saturating_sub(seconds), if seconds > 0 { uptime } else { at });
        BURST.saturating_sub(self.spent.0)
    }
}

/// Writes what was noted; what cannot be written now is kept for the next time.
pub async fn flush(app: &App) -> Result<(), DbErr> {
    let (apart, beyond, allowed) = {
        let mut noted = app.failures.lock();
        let allowed = noted.allowed(app.clock.uptime());
        (std::mem::take(&mut noted.apart), std::mem::take(&mut noted.beyond), allowed)
    };
    if apart.is_empty() && beyond.is_empty() {
        return Ok(());
    }
    let written = match users(app, &apart).await {
        Ok(users) => {
            let events = rows(app, &apart, &beyond, &users, allowed);
            super::insert(app.db.writer(), &events).await.map(|()| events)
        }
        Err(error) => Err(error),
    };
    let mut noted = app.failures.lock();
    match written {
        Ok(events) => {
            noted.spent.0 += events.len();
            super::log(&events);
            Ok(())
        }
        Err(error) => {
            for (attempt, sum) in apart {
                noted.add(attempt, sum);
            }
            for (event, count) in beyond {
                *noted.beyond.entry(event).or_default() += count;
            }
            Err(error)
        }
    }
}

/// The users of these names, as far as there are any.
async fn users(app: &App, apart: &HashMap<Attempt, Sum>) -> Result<HashMap<String, Uuid>, DbErr> {
    let names = apart.keys().filter_map(|attempt| attempt.name.as_deref());
    let users = user::Entity::find()
        .select_only()
        .columns([user::Column::CanonicalName, user::Column::Id])
        .filter(user::Column::CanonicalName.is_in(names));
    Ok(users.into_tuple::<(String, Uuid)>().all(app.db.reader()).await?.into_iter().collect())
}

/// What one row tells: what happened to whom, from where, and why.
type Told = (Event, Option<Uuid>, Option<IpAddr>, &'static str);

/// Attempts on names that are nobody's are told by their address alone.
fn rows(
    app: &App,
    apart: &HashMap<Attempt, Sum>,
    beyond: &HashMap<Event, i64>,
    users: &HashMap<String, Uuid>,
    allowed: usize,
) -> Vec<Model> {
    let now = app.clock.now();
    let mut summed: HashMap<Told, Sum> = HashMap::new();
    for (attempt, sum) in apart {
        let user = attempt.name.as_ref().and_then(|name| users.get(name)).copied();
        let alike = summed.entry((attempt.event, user, attempt.address, attempt.reason));
        let alike = alike.or_insert(Sum { count: 0, request_id: None });
        alike.count += sum.count;
        alike.request_id.clone_from(&sum.request_id);
    }
    let mut summed: Vec<_> = summed.into_iter().collect();
    summed.sort_by_key(|(_, sum)| Reverse(sum.count));
    let mut rest = beyond.clone();
    for ((event, ..), sum) in summed.iter().skip(allowed) {
        *rest.entry(*event).or_default() += sum.count;
    }
    let apart = summed.into_iter().take(allowed).map(|((event, user, address, reason), sum)| {
        let origin = Origin { address, request_id: sum.request_id };
        Done::new(event).user(user).reason(reason).times(sum.count).by(&Actor::anonymous(&origin), now)
    });
    let rest = rest.into_iter().map(|(event, count)| {
        Done::new(event).reason(MANY).times(count).by(&Actor::anonymous(&Origin::default()), now)
    });
    apart.chain(rest).collect()
}

/// The reason of a row that sums up what was too much to be told apart.
const MANY: &str = "too_many_to_tell_apart";
