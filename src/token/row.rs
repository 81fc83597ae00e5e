//! Reading what is known of tokens: the columns that a check needs and no others.

use entity::{DigestAlgorithm, Scopes, Timestamp, TokenDigest, token, token::Column, user};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryResult, QuerySelect,
    QueryTrait, RelationDef, Select, Statement,
};
use uuid::Uuid;

use super::Kind;
use crate::db::sql::Sql;

/// What is read of a token and of its user.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) facts: Facts,
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

/// What is read of a token.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: Uuid,
    pub(super) kind: Kind,
    pub(super) digest_algorithm: DigestAlgorithm,
    pub(super) digest: TokenDigest,
    pub(super) previous_digest: Option<TokenDigest>,
    pub(super) previous_expires_at: Option<Timestamp>,
    pub(super) hint: String,
    pub(super) name: Option<String>,
    pub(super) user_id: Option<Uuid>,
    pub(super) client_id: Option<String>,
    pub(super) scopes: Scopes,
    pub(super) idle_timeout: Option<i64>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) ttl_expires_at: Timestamp,
    pub(super) max_expires_at: Timestamp,
    pub(super) last_used_at: Option<Timestamp>,
    pub(super) revoked_at: Option<Timestamp>,
}

/// The columns, in the order in which they are read.
const COLUMNS: [Column; 18] = [
    Column::Id,
    Column::Kind,
    Column::DigestAlgorithm,
    Column::Digest,
    Column::PreviousDigest,
    Column::PreviousExpiresAt,
    Column::Hint,
    Column::Name,
    Column::UserId,
    Column::ClientId,
    Column::Scopes,
    Column::IdleTimeout,
    Column::CreatedAt,
    Column::ExpiresAt,
    Column::TtlExpiresAt,
    Column::MaxExpiresAt,
    Column::LastUsedAt,
    Column::RevokedAt,
];

impl FromQueryResult for Row {
    /// By place, not by name: looking names up takes longer than the rest of a read that finds its row in memory.
    fn from_query_result(row: &QueryResult, _prefix: &str) -> Result<Self, DbErr> {
        let username: Option<String> = row.try_get_by_index(COLUMNS.len())?;
        let user = match username {
            Some(username) => Some(User {
                username,
                grantable: row.try_get_by_index(COLUMNS.len() + 1)?,
                epoch: row.try_get_by_index(COLUMNS.len() + 2)?,
            }),
            None => None,
        };
        let facts = Facts {
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
            idle_timeout: row.try_get_by_index(11)?,
            created_at: row.try_get_by_index(12)?,
            expires_at: row.try_get_by_index(13)?,
            ttl_expires_at: row.try_get_by_index(14)?,
            max_expires_at: row.try_get_by_index(15)?,
            last_used_at: row.try_get_by_index(16)?,
            revoked_at: row.try_get_by_index(17)?,
        };
        Ok(Self { facts, user })
    }
}

impl Row {
    /// A token that was just made, without reading it again.
    pub(super) fn made(row: token::Model, user: User) -> Self {
        let facts = Facts {
            id: row.id,
            kind: row.kind,
            digest_algorithm: row.digest_algorithm,
            digest: row.digest,
            previous_digest: row.previous_digest,
            previous_expires_at: row.previous_expires_at,
            hint: row.hint,
            name: row.name,
            user_id: row.user_id,
            client_id: row.client_id,
            scopes: row.scopes,
            idle_timeout: row.idle_timeout,
            created_at: row.created_at,
            expires_at: row.expires_at,
            ttl_expires_at: row.ttl_expires_at,
            max_expires_at: row.max_expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        };
        Self { facts, user: Some(user) }
    }
}

/// Tokens with their users; to be read as [`Row`]s.
pub(super) fn select() -> Select<token::Entity> {
    token::Entity::find()
        .select_only()
        .columns(COLUMNS)
        .join(JoinType::LeftJoin, to_user())
        .column_as(user::Column::Username, "username")
        .column_as(user::Column::Scopes, "user_scopes")
        .column_as(user::Column::Epoch, "user_epoch")
}

fn to_user() -> RelationDef {
    token::Entity::belongs_to(user::Entity).from(Column::UserId).to(user::Column::Id).into()
}

/// How many tokens one statement reads.
pub(super) const MOST_AT_ONCE: usize = 1 << (LENGTHS - 1);
/// As many statements there are: for one token, two, four and so on.
const LENGTHS: usize = 7;
static SQL: [Sql; LENGTHS] = [const { Sql::new() }; LENGTHS];

/// Reads these tokens, at most [`MOST_AT_ONCE`], in any order and without those that are not there.
///
/// Few statements, each prepared once for a connection: what is missing to the length of
/// one is filled with the last id again.
pub(super) async fn find(db: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Vec<(Uuid, Result<Row, DbErr>)>, DbErr> {
    let Some(last) = ids.last() else { return Ok(Vec::new()) };
    let length = ids.len().next_power_of_two();
    let backend = db.get_database_backend();
    let sql = SQL[length.ilog2() as usize]
        .of(backend, || select().filter(Column::Id.is_in(vec![Uuid::nil(); length])).build(backend).sql);
    let values = ids.iter().chain(std::iter::repeat(last)).take(length).map(|id| (*id).into());
    let statement = Statement::from_sql_and_values(backend, sql, values.collect::<Vec<_>>());
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, Row::from_query_result(row, "")))).collect()
}
