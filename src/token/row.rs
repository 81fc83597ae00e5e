//! Reading what is known of tokens.

use entity::{Scopes, token, user};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, Iterable, JoinType, QueryFilter, QueryResult,
    QuerySelect, QueryTrait, RelationDef, Select, Statement,
};
use uuid::Uuid;

use crate::db::sql::Lengths;

/// What is read of a token and of its user.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) token: token::Model,
    /// None for a client's own.
    pub(super) user: Option<User>,
}

/// What is read of a token's user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) username: String,
    /// What tokens of theirs may hold at all.
    pub(super) grantable: Scopes,
    /// See [`entity::user::Model::epoch`].
    pub(super) epoch: i64,
}

impl FromQueryResult for Row {
    /// By place, not by name: looking names up takes longer than the rest of a read that finds its row in memory.
    fn from_query_result(row: &QueryResult, _prefix: &str) -> Result<Self, DbErr> {
        let user = match row.try_get_by_index(20)? {
            Some(username) => {
                Some(User { username, grantable: row.try_get_by_index(21)?, epoch: row.try_get_by_index(22)? })
            }
            None => None,
        };
        let token = token::Model {
            id: row.try_get_by_index(0)?,
            kind: row.try_get_by_index(1)?,
            digest_algorithm: row.try_get_by_index(2)?,
            digest: row.try_get_by_index(3)?,
            previous_digest: row.try_get_by_index(4)?,
            previous_expires_at: row.try_get_by_index(5)?,
            hint: row.try_get_by_index(6)?,
            name: row.try_get_by_index(7)?,
            user_id: row.try_get_by_index(8)?,
            client_id: row.try_get_by_index(9)?,
            scopes: row.try_get_by_index(10)?,
            ttl: row.try_get_by_index(11)?,
            idle_timeout: row.try_get_by_index(12)?,
            created_at: row.try_get_by_index(13)?,
            expires_at: row.try_get_by_index(14)?,
            ttl_expires_at: row.try_get_by_index(15)?,
            max_expires_at: row.try_get_by_index(16)?,
            last_used_at: row.try_get_by_index(17)?,
            revoked_at: row.try_get_by_index(18)?,
            changed_at: row.try_get_by_index(19)?,
        };
        Ok(Self { token, user })
    }
}

/// Tokens with their users; to be read as [`Row`]s.
pub(super) fn select() -> Select<token::Entity> {
    token::Entity::find().select_only().columns(token::Column::iter()).join(JoinType::LeftJoin, to_user()).columns([
        user::Column::Username,
        user::Column::Scopes,
        user::Column::Epoch,
    ])
}

fn to_user() -> RelationDef {
    token::Entity::belongs_to(user::Entity).from(token::Column::UserId).to(user::Column::Id).into()
}

static SQL: Lengths<7> = Lengths::new();
/// How many tokens one statement reads.
pub(super) const MOST_AT_ONCE: usize = Lengths::<7>::MOST;

/// Reads these tokens, at most [`MOST_AT_ONCE`], in any order and without those that are not there.
///
/// What is missing to the statement's length is filled with the last id.
pub(super) async fn find(db: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Vec<(Uuid, Result<Row, DbErr>)>, DbErr> {
    let Some(last) = ids.last() else { return Ok(Vec::new()) };
    let backend = db.get_database_backend();
    let (length, sql) = SQL.of(backend, ids.len(), |length| {
        select().filter(token::Column::Id.is_in(vec![Uuid::nil(); length])).build(backend).sql
    });
    let values = ids.iter().chain(std::iter::repeat(last)).take(length).map(|id| (*id).into());
    let statement = Statement::from_sql_and_values(backend, sql, values.collect::<Vec<_>>());
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, Row::from_query_result(row, "")))).collect()
}
