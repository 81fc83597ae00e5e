//! `SQLite` only: `token_owner`, which says whose tokens are whose, and tokens that are no more.
//!
//! A purge leaves their entries behind, for they lie scattered (see the migration that made the table). It notes which, and deletes
//! many of them at a time in the order in which they lie, where neighbours share a page.
//!
//! What it did not note, or had not deleted when it was stopped or killed, is swept: this goes through the table in its own order, looks
//! whether the tokens are there still, and deletes the entries of those that are not; where it stops, the next run goes on.

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};
use uuid::Uuid;

use super::task::{FIRST, Halt, Task, next_size};
use crate::app::App;

/// From how many entries on, of 32 bytes each, some are deleted.
const MANY: usize = 1_000_000;

/// One part in so many of them is deleted at a time: those that follow what was deleted last. What waits until it is its turn has
/// more neighbours by then than if all were deleted at once, half as many again.
const PARTS: usize = 4;

/// How many entries are looked at for each token whose entry was not noted: in the long run about one entry in so many is left
/// over.
const PACE: u64 = 4;

/// For how many tokens whose entries were noted one is looked at, so that what such runs leave is found in the end.
const SELDOM: u64 = 20;

/// How many entries a batch takes, beside how many tokens one deletes: there is less to do for each.
const AT_ONCE: u64 = 4;

/// An entry: a user's id, and a token's.
type Entry = (Uuid, Uuid);

const START: Entry = (Uuid::nil(), Uuid::nil());
const END: Entry = (Uuid::max(), Uuid::max());

/// How long an id is in hexadecimal.
const ID: usize = 32;

/// Entries of tokens that a run has deleted, which are to go, too.
#[derive(Default)]
pub(super) struct Entries {
    noted: Vec<Entry>,
    /// The last of the part that was deleted last.
    deleted_to: Entry,
    /// Of how many tokens all were noted, those included that are nobody's.
    tokens: u64,
}

impl Entries {
    /// Notes the entries of so many tokens, written one after the other, all ids in hexadecimal.
    pub fn add(&mut self, tokens: u64, entries: &str) -> Result<(), DbErr> {
        self.tokens += tokens;
        for entry in entries.as_bytes().chunks(2 * ID) {
            let entry = str::from_utf8(entry).ok().and_then(read);
            self.noted.push(entry.ok_or_else(|| DbErr::Type("an id of a token or a user is none".to_owned()))?);
        }
        Ok(())
    }

    /// Deletes a part of what is noted once it is much; all of that, for the time that a run has is for tokens.
    pub async fn delete_if_many(&mut self, task: &mut Task<'_>) -> Result<(), Halt> {
        if self.noted.len() < MANY {
            return Ok(());
        }
        self.sort().await?;
        let part = self.part(MANY / PARTS);
        delete_all(task, &part).await
    }

    /// Takes out so many whose turn it is, of what is in order.
    fn part(&mut self, many: usize) -> Vec<Entry> {
        let first = self.noted.partition_point(|entry| *entry <= self.deleted_to);
        let first = if first < self.noted.len() { first } else { 0 };
        let end = self.noted.len().min(first + many);
        let part: Vec<_> = self.noted.drain(first..end).collect();
        self.deleted_to = part.last().copied().unwrap_or(START);
        part
    }

    /// In a thread of its own: it takes some milliseconds, in which this one would serve nobody. Most of it is in order already.
    async fn sort(&mut self) -> Result<(), DbErr> {
        let mut noted = std::mem::take(&mut self.noted);
        let sort = tokio::task::spawn_blocking(move || {
            noted.sort();
            noted
        });
        self.noted = sort.await.map_err(|error| DbErr::Custom(error.to_string()))?;
        Ok(())
    }
}

/// Deletes entries that are in order.
async fn delete_all(task: &mut Task<'_>, entries: &[Entry]) -> Result<(), Halt> {
    let most = task.app.config.maintenance.batch_size * AT_ONCE;
    let (mut rest, mut size) = (entries, most.min(FIRST));
    while !rest.is_empty() {
        task.may_begin()?;
        let (batch, others) = rest.split_at(rest.len().min(usize::try_from(size).unwrap_or(usize::MAX)));
        let ((), took) = task.transact(delete_these(batch)).await?;
        size = next_size(size, took, true, most);
        task.make_way(took).await;
        rest = others;
    }
    Ok(())
}

/// Deletes what is noted still, and sweeps.
pub(super) async fn tidy(task: &mut Task<'_>, mut gone: Entries) -> Result<(), Halt> {
    gone.sort().await?;
    delete_all(task, &gone.noted).await?;
    let tokens = (task.run.deleted_expired + task.run.deleted_revoked).unsigned_abs();
    sweep(task, tokens.saturating_sub(gone.tokens) * PACE + gone.tokens / SELDOM).await
}

/// Sweeps so many entries on from where the last run stopped, once round at most.
async fn sweep(task: &mut Task<'_>, mut left: u64) -> Result<(), Halt> {
    let most = task.app.config.maintenance.batch_size * AT_ONCE;
    let mut size = most.min(1000);
    let began_at = task.lease.position.as_deref().and_then(read).unwrap_or(START);
    let (mut at, mut round) = (began_at, false);
    while left > 0 && !(round && at >= began_at) {
        task.may_begin()?;
        let end = nth_after(task.app, at, size.min(left)).await?;
        let ((), took) = task.transact(delete_dead(at, end.unwrap_or(END))).await?;
        left = left.saturating_sub(size);
        size = next_size(size, took, true, most);
        at = end.unwrap_or(START);
        round |= end.is_none();
        task.make_way(took).await;
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

/// Deletes entries, which are put together in one value, two ids of 16 bytes each.
fn delete_these(entries: &[Entry]) -> Statement {
    let places = every(32, "length(?1)");
    let text = format!(
        "DELETE FROM token_owner WHERE (user_id, id) IN \
         ({places} SELECT substr(?1, at, 16), substr(?1, at + 16, 16) FROM place)"
    );
    let entries: Vec<u8> = entries.iter().flat_map(|(user, id)| [*user.as_bytes(), *id.as_bytes()]).flatten().collect();
    Statement::from_sql_and_values(DatabaseBackend::Sqlite, text, [entries.into()])
}

/// The places in a value where every so many bytes something begins, `at` for each, as a table that a SELECT may follow.
pub(super) fn every(bytes: usize, length: &str) -> String {
    format!(
        "WITH RECURSIVE place(at) AS (SELECT 1 UNION ALL SELECT at + {bytes} FROM place WHERE at + {bytes} < {length})"
    )
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
    let (user, token) = text.split_at_checked(ID)?;
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

    #[test]
    fn parts_go_round() {
        let entry = |number| (Uuid::from_u128(number), Uuid::from_u128(number));
        let mut entries = Entries { noted: [1, 3, 5, 7].map(entry).to_vec(), ..Entries::default() };
        assert_eq!(entries.part(2), [1, 3].map(entry));
        entries.noted = [2, 5, 6, 7].map(entry).to_vec();
        assert_eq!(entries.part(2), [5, 6].map(entry), "what comes before waits");
        assert_eq!(entries.part(2), [7].map(entry));
        assert_eq!(entries.part(2), [2].map(entry), "and from the beginning");
        assert_eq!(entries.part(2), []);
    }

    #[test]
    fn entries_are_read_as_the_database_writes_them() {
        let (one, other) =
            ((Uuid::from_u128(1), Uuid::from_u128(2)), (Uuid::from_u128(0xAB << 120), Uuid::from_u128(4)));
        let mut entries = Entries::default();
        entries.add(1, "").unwrap();
        entries.add(2, &(write(one) + &write(other)).to_uppercase()).unwrap();
        assert_eq!(entries.noted, [one, other]);
        entries.add(1, "0123").unwrap_err();
    }
}
