//! Reading tokens from the database, many by one statement ([`crate::db::shared`]).
//!
//! Where memory is turned off, or still empty, many checks need theirs at the same time.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Held, HeldRef,
    row::{self, MOST_AT_ONCE},
};
use crate::{
    clock::Clock,
    db::{
        Db,
        shared::{Shared, Terms},
    },
    error::Storage,
};

/// Where those wait who need a token as the database has it.
pub(super) type Reads = Shared<Uuid, Option<HeldRef>>;

/// Starts to read.
pub(super) fn start(db: &Db, clock: &Clock) -> Reads {
    let terms = Terms { what: "reading a token", most: MOST_AT_ONCE, patience: db.patience() };
    let (db, clock) = (db.clone(), clock.clone());
    Shared::start(terms, move |ids| read(db.clone(), clock.clone(), ids))
}

/// A row that cannot be understood is an error of its own.
async fn read(db: Db, clock: Clock, ids: Vec<Uuid>) -> Result<Vec<Result<Option<HeldRef>, Storage>>, Storage> {
    let uptime = clock.uptime();
    let rows = row::find(db.reader(), &ids).await?;
    let held = |row| HeldRef::new(Held::from(row).read_at_uptime(uptime));
    let found: HashMap<_, _> = rows.into_iter().map(|(id, row)| (id, row.map(held).map_err(Storage::from))).collect();
    Ok(ids.iter().map(|id| found.get(id).cloned().transpose()).collect())
}
