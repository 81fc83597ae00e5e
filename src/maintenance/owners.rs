//! `SQLite` only: sweeping `token_owner`, which says whose tokens are whose, of tokens that are no more.
//!
//! A purge leaves their entries behind, for they lie scattered (see the migration that made the table). This goes through the
//! table in its own order, where neighbours lie on one page, and deletes those without a token; where it stops, the next run
//! goes on. It goes as far as it must to keep up: [`PACE`] entries for each token that the run deleted, so that in the long run
//! about one entry in so many is left over.

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};
use uuid::Uuid;

use super::task::{Halt, Task, next_size};
use crate::app::App;

/// How many entries are looked at for each token deleted.
const PACE: u64 = 4;

/// How many entries a batch looks at, beside how many tokens one deletes: most of them are only looked at.
const AT_ONCE: u64 = 4;

/// An entry: a user's id, and a token's.
type Entry = (Uuid, Uuid);

const START: Entry = (Uuid::nil(), Uuid::nil());
const END: Entry = (Uuid::max(), Uuid::max());

/// Sweeps on from where the last run stopped, once round at most.
pub(super) async fn sweep(task: &mut Task<'_>) -> Result<(), Halt> {
    let deleted = (task.run.deleted_expired + task.run.deleted_revoked).unsigned_abs();
    let most = task.app.config.maintenance.batch_size * AT_ONCE;
    let (mut left, mut size) = (deleted * PACE, most.min(1000));
    let began_at = task.lease.position.as_deref().and_then(read).unwrap_or(START);
    let (mut at, mut round) = (began_at, false);
    while left > 0 && !(round && at >= began_at) {
        task.may_begin()?;
        let end = nth_after(task.app, at, size.min(left)).await?;
        let dead = delete_dead(at, end.unwrap_or(END));
        let (_, took) = task.transact(None, dead).await?;
        left = left.saturating_sub(size);
        size = next_size(size, took, true, most);
        at = end.unwrap_or(START);
        round |= end.is_none();
        task.lease.position = Some(write(at));
    }
    Ok(())
}

/// The entry that many places further; none if the table ends before.
async fn nth_after(app: &App, entry: Entry, places: u64) -> Result<Option<Entry>, DbErr> {
    let row = app.db.reader().query_one_raw(select_nth(entry, places)).await?;
    row.map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).transpose()
}

fn select_nth((user, token): Entry, places: u64) -> Statement {
    let text = "SELECT user_id, id FROM token_owner WHERE (user_id, id) > (?, ?) ORDER BY user_id, id LIMIT 1 OFFSET ?";
    let values = [user.into(), token.into(), places.saturating_sub(1).into()];
    Statement::from_sql_and_values(DatabaseBackend::Sqlite, text, values)
}

/// Deletes the entries after the first, up to the last, whose token is no more.
///
/// The tokens are looked for in the order of their ids, a third faster than in that of the entries: neighbours share the pages
/// above theirs. (Without a limit `SQLite` would leave the order out.)
fn delete_dead(first: Entry, last: Entry) -> Statement {
    let text = "DELETE FROM token_owner WHERE (user_id, id) IN (SELECT user_id, id FROM (SELECT user_id, id FROM token_owner \
                WHERE (user_id, id) > (?, ?) AND (user_id, id) <= (?, ?) ORDER BY id LIMIT -1) AS entry \
                WHERE NOT EXISTS (SELECT 1 FROM token WHERE token.id = entry.id))";
    let values = [first.0.into(), first.1.into(), last.0.into(), last.1.into()];
    Statement::from_sql_and_values(DatabaseBackend::Sqlite, text, values)
}

fn write((user, token): Entry) -> String {
    format!("{}{}", user.simple(), token.simple())
}

fn read(text: &str) -> Option<Entry> {
    let (user, token) = text.split_at_checked(32)?;
    Some((user.parse().ok()?, token.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = (Uuid::from_u128(7), Uuid::from_u128(u128::MAX / 3));
        assert_eq!(read(&write(place)), Some(place));
        assert_eq!(read("nonsense"), None);
    }
}
