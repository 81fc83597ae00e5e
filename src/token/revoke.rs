//! Ending tokens. A revoked token never works again: nothing in the code unsets `revoked_at`.
//!
//! With a session ends the refresh token that would buy the next one, and with a refresh token every session it bought: a
//! family ends as a whole ([`super::refresh`]), whichever of its tokens is ended. The one exception is a client that hands
//! back an access token it is done with, see [`presented`].

use std::sync::Arc;

use entity::{Timestamp, audit_event::Event, expiry, token};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Held, Kind, Owner, check, family, find, precision,
    row::{Row, select},
};
use crate::{
    app::App,
    audit::{Actor, Done, Origin},
    error::Error,
    write::{Write, write},
};

/// How many tokens may be handed in at once; and how many one statement names, for engines allow it only so many values.
pub const MOST_AT_ONCE: usize = 500;

/// Why tokens are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody who may asked for it by its id.
    Requested,
    /// Its holder logged out.
    Logout,
    /// Its owner logged out everywhere.
    LogoutAll,
    /// Somebody presented it for that, known or not.
    HandedIn,
    /// Its user may have no more, and made another.
    TokenLimit,
    /// It was traded for the next, or went with what was.
    Refreshed,
    /// A refresh token of its family was used twice.
    Replayed,
    /// Its user has a new password.
    NewPassword,
    /// Its user was barred from logging in.
    UserDisabled,
    /// Its user was deleted.
    UserDeleted,
    /// Its client was barred.
    ClientDisabled,
    /// Its client was deleted.
    ClientDeleted,
}

impl Why {
    /// How it is on record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::HandedIn => "handed_in",
            Self::TokenLimit => "token_limit",
            Self::Refreshed => "refreshed",
            Self::Replayed => "replayed",
            Self::NewPassword => "new_password",
            Self::UserDisabled => "user_disabled",
            Self::UserDeleted => "user_deleted",
            Self::ClientDisabled => "client_disabled",
            Self::ClientDeleted => "client_deleted",
        }
    }
}

/// Ends one token; one that is already revoked keeps the time it was.
pub async fn one(app: &Arc<App>, id: Uuid, by: &Actor, why: Why, now: Timestamp) -> Result<(), Error> {
    write(app, by, move |write| Box::pin(async move { Ok(these(write, vec![id], why, now).await?) })).await
}

/// Ends these tokens and the families they are of, as part of something larger.
pub async fn these(write: &Write<'_>, tokens: Vec<Uuid>, why: Why, now: Timestamp) -> Result<(), DbErr> {
    for family in family::of(write, &tokens).await? {
        family::end(write, family, why, now).await?;
    }
    alone(write, tokens, why, now).await.map(drop)
}

/// Ends these tokens and nothing besides; tells how many had not ended before.
pub(super) async fn alone(write: &Write<'_>, tokens: Vec<Uuid>, why: Why, now: Timestamp) -> Result<usize, DbErr> {
    let mut ended = 0;
    for some in tokens.chunks(MOST_AT_ONCE) {
        ended += revoke(write, token::Column::Id.is_in(some.iter().copied()).into(), why, now).await?.len();
    }
    // Also those that had ended: it may not be remembered here.
    write.changed(tokens);
    Ok(ended)
}

/// Ends an owner's tokens of some kinds, but for one that is spared; tells how many of them worked.
///
/// Refresh tokens end with sessions, and sessions that a refresh token bought with that.
///
/// It ends those too that have expired by this clock: one that is a little behind might still renew them, and a use that
/// is not written yet might move their end.
pub async fn all_of(
    app: &App,
    write: &Write<'_>,
    owner: &Owner,
    kinds: &[Kind],
    spared: Option<Uuid>,
    why: Why,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let theirs = Condition::all().add(owner.tokens(app.db.engine()));
    let mut kinds = kinds.to_vec();
    let with_families = kinds.contains(&Kind::Refresh) && !kinds.contains(&Kind::Session);
    if kinds.contains(&Kind::Session) {
        kinds.push(Kind::Refresh);
    }
    let named = theirs.clone().add(token::Column::Kind.is_in(kinds));
    let named = named.add_option(spared.map(|id| token::Column::Id.ne(id)));
    let working = working(app, write, named.clone(), now).await?;
    if with_families {
        end_families(write, theirs, why, now).await?;
    }
    all(write, named, why, now).await?;
    Ok(working)
}

/// Ends every token that was issued to a client, whoever's it is; tells how many of them worked.
pub async fn all_issued_to(
    app: &App,
    write: &Write<'_>,
    client_id: &str,
    why: Why,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let theirs: Condition = token::Column::ClientId.eq(client_id).into();
    let working = working(app, write, theirs.clone(), now).await?;
    all(write, theirs, why, now).await?;
    Ok(working)
}

/// Ends the families of all refresh tokens among these.
async fn end_families(write: &Write<'_>, which: Condition, why: Why, now: Timestamp) -> Result<(), DbErr> {
    let refresh = token::Entity::find()
        .select_only()
        .column(token::Column::Id)
        .filter(which.add(token::Column::Kind.eq(Kind::Refresh)).add(token::Column::RevokedAt.is_null()));
    let refresh: Vec<Uuid> = refresh.into_tuple().all(write.txn()).await?;
    these(write, refresh, why, now).await
}

/// How many of these work.
async fn working(app: &App, write: &Write<'_>, which: Condition, now: Timestamp) -> Result<u64, DbErr> {
    token::Entity::find().filter(which).filter(expiry::active(now, precision(app))).count(write.txn()).await
}

async fn all(write: &Write<'_>, which: Condition, why: Why, now: Timestamp) -> Result<(), DbErr> {
    write.changed(revoke(write, which, why, now).await?);
    Ok(())
}

/// Ends each of these tokens that is real: whoever holds a token may end it (RFC 7009 §2 in spirit, without a client).
///
/// It tells nothing of what it found.
pub async fn by_possession(app: &Arc<App>, tokens: &[String], from: &Origin, now: Timestamp) -> Result<(), Error> {
    let presented: Vec<_> = tokens.iter().filter_map(|text| check::parse(app, text, now)).collect();
    let ids = presented.iter().map(|presented| presented.id);
    let rows: Vec<Row> = select().filter(token::Column::Id.is_in(ids)).into_model().all(app.db.reader()).await?;
    let mut possessed: Vec<_> = rows
        .into_iter()
        .map(Held::from)
        .filter(|held| presented.iter().any(|it| it.id == held.id() && check::possesses(held, &it.digest, now)))
        .map(|held| held.id())
        .collect();
    // A spent refresh token may be among the tokens no more, and its family goes on.
    possessed.extend(family::find_all(app.db.reader(), &presented).await?.into_iter().map(|row| row.token_id));
    if possessed.is_empty() {
        return Ok(());
    }
    let by = Actor::anonymous(from);
    write(app, &by, move |write| Box::pin(async move { Ok(these(write, possessed, Why::HandedIn, now).await?) })).await
}

/// Ends the token that a client presents, or somebody who is none (RFC 7009 §2.1); one that is not there, or has ended, is no
/// error.
///
/// A token that was issued to a client is only that client's to end ([`Error::Forbidden`], and [`Error::BadClient`] for who
/// did not say which it is); any other is whoever's that holds it. A refresh token ends its family, also one that is spent:
/// who logs out may not have heard of the trade. An access token ends alone, for clients hand back those that they have
/// replaced.
pub async fn presented(
    app: &Arc<App>,
    text: &str,
    client: Option<&str>,
    from: &Origin,
    now: Timestamp,
) -> Result<(), Error> {
    let by = client.map_or_else(|| Actor::anonymous(from), |client| Actor::client(client, from));
    let Some(presented) = check::parse(app, text, now) else { return Ok(()) };
    if presented.kind == Kind::Refresh {
        let Some(row) = family::find(app.db.reader(), &presented).await? else { return Ok(()) };
        must_be_theirs(row.client_id.as_deref(), client)?;
        return write(app, &by, move |write| {
            Box::pin(async move { Ok(family::end(write, row.family_id, Why::HandedIn, now).await.map(drop)?) })
        })
        .await;
    }
    let held = find(app.db.reader(), presented.id).await?;
    let Some(held) = held.filter(|held| check::possesses(held, &presented.digest, now)) else { return Ok(()) };
    must_be_theirs(held.client_id(), client)?;
    let id = held.id();
    write(app, &by, move |write| {
        Box::pin(async move { Ok(alone(write, vec![id], Why::HandedIn, now).await.map(drop)?) })
    })
    .await
}

fn must_be_theirs(bound: Option<&str>, client: Option<&str>) -> Result<(), Error> {
    match (bound, client) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Error::BadClient),
        (Some(bound), Some(client)) if bound == client => Ok(()),
        (Some(_), Some(_)) => Err(Error::Forbidden("the token was issued to another client".to_owned())),
    }
}

/// How many tokens one statement ends.
const AT_ONCE: usize = 1000;

/// Ends what has not ended yet, puts each on record, and tells which these were.
///
/// The rows are locked where the engine locks rows, so that what is on record was ended here and by nobody else; in their order,
/// so that two who end the same ones do not wait for each other in a circle.
async fn revoke(write: &Write<'_>, which: Condition, why: Why, now: Timestamp) -> Result<Vec<Uuid>, DbErr> {
    let left = token::Entity::find()
        .select_only()
        .columns([token::Column::Id, token::Column::UserId, token::Column::ClientId])
        .filter(which)
        .filter(token::Column::RevokedAt.is_null())
        .order_by_asc(token::Column::Id)
        .lock_exclusive();
    let left: Vec<(Uuid, Option<Uuid>, Option<String>)> = left.into_tuple().all(write.txn()).await?;
    for some in left.chunks(AT_ONCE) {
        token::Entity::update_many()
            .col_expr(token::Column::RevokedAt, Expr::value(now))
            .col_expr(token::Column::ChangedAt, Expr::value(now))
            .filter(token::Column::Id.is_in(some.iter().map(|(id, ..)| *id)))
            .filter(token::Column::RevokedAt.is_null())
            .exec(write.txn())
            .await?;
    }
    for (id, user, client) in &left {
        let done = Done::new(Event::TokenRevoked).token(*id).user(*user).client(client.as_deref());
        write.record(done.reason(why.name()));
    }
    Ok(left.into_iter().map(|(id, ..)| id).collect())
}
