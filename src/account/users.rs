//! Users: making, finding, changing and ending them.

use std::sync::Arc;

use entity::{Scopes, Timestamp, audit_event::Event, token, user};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Select, SqlErr,
};
use uuid::Uuid;

use super::{
    known, limits,
    password::{Password, policy},
};
use crate::{
    app::App,
    audit::{Actor, Done, Origin},
    client,
    db::{Engine, dialect},
    error::Error,
    id,
    token::{
        Kind, Owner,
        revoke::{self, Why},
    },
    write::{Write, write},
};

const EVERY_KIND: [Kind; 4] = [Kind::Session, Kind::Api, Kind::Client, Kind::Refresh];
const LONGEST_NAME: usize = 150;

/// A user name as it was given, and its lower-case form, by which names are compared and made unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// ASCII letters, digits and `._@+-`, 1 to 150 of them: no look-alikes, and the same verdict in every database.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
        if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::invalid("username", "must be 1 to 150 ASCII letters, digits or any of . _ @ + -"))
        }
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form by which names are compared.
    pub fn canonical(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// What is to change of a user; what is left out stays.
#[derive(Debug, Default)]
pub struct Change {
    /// The new password.
    pub password: Option<Password>,
    /// What tokens of the user may hold from now on.
    pub scopes: Option<Scopes>,
    /// Whether the user is barred from logging in.
    pub disabled: Option<bool>,
}

/// Makes a user.
pub async fn create(
    app: &Arc<App>,
    name: &Username,
    password: Password,
    scopes: Scopes,
    by: &Actor,
    now: Timestamp,
) -> Result<user::Model, Error> {
    accept_password("password", app, &password, name.as_str())?;
    let row = user::Model {
        id: id::new(now),
        username: name.as_str().to_owned(),
        canonical_name: name.canonical(),
        password_hash: Some(app.hasher.hash(password).await?),
        scopes,
        epoch: 0,
        created_at: now,
        last_login_at: None,
        disabled_at: None,
        deleted_at: None,
        changed_at: now,
    };
    write(app, by, move |write| {
        Box::pin(async move {
            let insert = user::Entity::insert(row.clone().into_active_model().reset_all());
            match insert.exec_without_returning(write.txn()).await {
                Ok(_) => {
                    write.record(Done::new(Event::UserCreated).user(Some(row.id)).reason(&row.username));
                    Ok(row)
                }
                Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
                    Err(Error::Conflict("there is already a user of this name".to_owned()))
                }
                Err(error) => Err(error.into()),
            }
        })
    })
    .await
}

/// Whether there is no user at all, not even a deleted one: a database at its very first start.
pub async fn none_yet(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(user::Entity::find().limit(1).one(db).await?.is_none())
}

/// The user of this id, unless deleted.
pub async fn find(db: &impl ConnectionTrait, id: Uuid) -> Result<user::Model, Error> {
    let row = undeleted(id).one(db).await?;
    row.ok_or(Error::NotFound("user"))
}

/// The user of this name, in any case, unless deleted. What can be nobody's name is not looked up: databases do not take
/// every text.
pub async fn find_by_name(db: &impl ConnectionTrait, name: &str) -> Result<Option<user::Model>, DbErr> {
    let Ok(name) = Username::parse(name) else { return Ok(None) };
    user::Entity::find()
        .filter(user::Column::CanonicalName.eq(name.canonical()))
        .filter(user::Column::DeletedAt.is_null())
        .one(db)
        .await
}

/// One page of users, newest first: made before the one named by `after`.
pub async fn page(db: &impl ConnectionTrait, after: Option<Uuid>, limit: u64) -> Result<Vec<user::Model>, DbErr> {
    user::Entity::find()
        .filter(user::Column::DeletedAt.is_null())
        .filter(Condition::all().add_option(after.map(|id| user::Column::Id.lt(id))))
        .order_by_desc(user::Column::Id)
        .limit(limit)
        .all(db)
        .await
}

/// Changes a user. A new password or disabling ends every token of theirs in the same transaction.
pub async fn change(
    app: &Arc<App>,
    id: Uuid,
    change: Change,
    by: &Actor,
    now: Timestamp,
) -> Result<user::Model, Error> {
    let before = find(app.db.reader(), id).await?;
    let hash = match change.password {
        Some(password) => {
            accept_password("password", app, &password, &before.username)?;
            Some(app.hasher.hash(password).await?)
        }
        None => None,
    };
    let (scopes, disabled) = (change.scopes, change.disabled);
    let shared = Arc::clone(app);
    let engine = app.db.engine();
    write(app, by, move |write| {
        Box::pin(async move {
            let mut row = lock(write, id).await?;
            let barred = disabled == Some(true);
            let ends = if barred { Some(Why::UserDisabled) } else { hash.as_ref().map(|_| Why::NewPassword) };
            let changed = [
                hash.as_ref().map(|_| "password"),
                scopes.as_ref().map(|_| "scopes"),
                disabled.map(|disabled| if disabled { "disabled" } else { "enabled" }),
            ];
            let changed: Vec<_> = changed.into_iter().flatten().collect();
            write.record(Done::new(Event::UserUpdated).user(Some(id)).reason(changed.join(" ")));
            if let Some(scopes) = scopes {
                row.scopes = scopes;
                write.changed(unrevoked(write, engine, id).await?);
            }
            if let Some(hash) = hash {
                row.password_hash = Some(hash);
                // Who is given a new password is meant to use it.
                limits::forget(write.txn(), &row.canonical_name).await?;
                known::forget(write.txn(), id).await?;
            }
            if let Some(disabled) = disabled {
                row.disabled_at = disabled.then(|| row.disabled_at.unwrap_or(now));
            }
            if let Some(why) = ends {
                row.epoch += 1;
                revoke::all_of(&shared, write, &Owner::User(id), &EVERY_KIND, None, why, now).await?;
            }
            row.changed_at = now;
            save(write.txn(), row.clone()).await?;
            Ok(row)
        })
    })
    .await
}

/// The tokens that are remembered with their user's scopes.
async fn unrevoked(write: &Write<'_>, engine: Engine, user: Uuid) -> Result<Vec<Uuid>, DbErr> {
    token::Entity::find()
        .select_only()
        .column(token::Column::Id)
        .filter(dialect::tokens_of(engine, user))
        .filter(token::Column::RevokedAt.is_null())
        .into_tuple()
        .all(write.txn())
        .await
}

/// Sets a user's own new password once the present one has proved right; ends their other sessions.
pub async fn change_own_password(
    app: &Arc<App>,
    id: Uuid,
    current: Password,
    new: Password,
    kept: Uuid,
    from: &Origin,
    now: Timestamp,
) -> Result<(), Error> {
    let before = find(app.db.reader(), id).await?;
    let name = Username::parse(&before.username)?;
    let counted = limits::login_as(app, &name, from, now).await?;
    let verified = app.hasher.verify(current, before.password_hash.clone()).await?;
    if !verified.matches {
        limits::note(app, Event::LoginFailed, Some(name.canonical()), "password_change", from);
        return Err(Error::BadCredentials);
    }
    counted.forget(app.db.writer()).await?;
    drop(counted);
    accept_password("new_password", app, &new, &before.username)?;
    let hash = app.hasher.hash(new).await?;
    let shared = Arc::clone(app);
    write(app, &Actor::user(id, from).with(kept), move |write| {
        Box::pin(async move {
            let mut row = lock(write, id).await?;
            if row.epoch != before.epoch || row.disabled_at.is_some() {
                return Err(Error::Conflict("the account was changed meanwhile".to_owned()));
            }
            row.password_hash = Some(hash);
            row.epoch += 1;
            row.changed_at = now;
            let sessions = [Kind::Session, Kind::Refresh];
            write.record(Done::new(Event::PasswordChanged).user(Some(id)));
            known::forget(write.txn(), id).await?;
            revoke::all_of(&shared, write, &Owner::User(id), &sessions, Some(kept), Why::NewPassword, now).await?;
            save(write.txn(), row).await?;
            Ok(())
        })
    })
    .await
}

/// Ends every token of an owner of these kinds; a login that began before does not complete after, and no token is made for a
/// client meanwhile.
pub async fn end_tokens(
    app: &Arc<App>,
    owner: Owner,
    kinds: Vec<Kind>,
    by: &Actor,
    now: Timestamp,
) -> Result<u64, Error> {
    let shared = Arc::clone(app);
    write(app, by, move |write| {
        Box::pin(async move {
            match &owner {
                Owner::User(id) => {
                    let mut row = lock(write, *id).await?;
                    row.epoch += 1;
                    save(write.txn(), row).await?;
                }
                Owner::Client(id) => drop(client::lock(write, id).await?),
            }
            Ok(revoke::all_of(&shared, write, &owner, &kinds, None, Why::LogoutAll, now).await?)
        })
    })
    .await
}

/// Deletes a user: tokens end at once, the name is free at once, the rows go with the purge.
pub async fn delete(app: &Arc<App>, id: Uuid, by: &Actor, now: Timestamp) -> Result<(), Error> {
    let shared = Arc::clone(app);
    write(app, by, move |write| {
        Box::pin(async move {
            let mut row = lock(write, id).await?;
            write.record(Done::new(Event::UserDeleted).user(Some(id)).reason(&row.username));
            revoke::all_of(&shared, write, &Owner::User(id), &EVERY_KIND, None, Why::UserDeleted, now).await?;
            row.epoch += 1;
            row.deleted_at = Some(now);
            row.disabled_at = row.disabled_at.or(Some(now));
            row.password_hash = None;
            // A colon is in no name, so this one is taken by nobody and takes nobody's.
            row.canonical_name = format!("deleted:{id}");
            row.changed_at = now;
            save(write.txn(), row).await?;
            Ok(())
        })
    })
    .await
}

/// The user's row inside a transaction, locked where the engine locks rows: nothing that ends their tokens, and
/// nothing that makes one, happens beside it.
pub async fn lock(write: &Write<'_>, id: Uuid) -> Result<user::Model, Error> {
    let row = undeleted(id).lock_exclusive().one(write.txn()).await?;
    row.ok_or(Error::NotFound("user"))
}

/// The same for whoever makes a token of this kind. Others may make some at the same time, unless they have to be
/// counted.
pub async fn lock_to_issue(app: &App, write: &Write<'_>, id: Uuid, kind: Kind) -> Result<user::Model, Error> {
    if app.config.tokens.of(kind).per_user_limit > 0 {
        return lock(write, id).await;
    }
    undeleted(id).lock_shared().one(write.txn()).await?.ok_or(Error::NotFound("user"))
}

fn undeleted(id: Uuid) -> Select<user::Entity> {
    user::Entity::find_by_id(id).filter(user::Column::DeletedAt.is_null())
}

/// Writes the whole row.
pub async fn save(txn: &impl ConnectionTrait, row: user::Model) -> Result<(), DbErr> {
    user::Entity::update(row.into_active_model().reset_all()).exec_without_returning(txn).await.map(drop)
}

/// Refuses a password that is not good enough, with the reason.
fn accept_password(field: &'static str, app: &App, password: &Password, username: &str) -> Result<(), Error> {
    let settings = &app.config.passwords;
    policy::accept(password, username, settings.min_length, settings.max_length)
        .map_err(|refusal| Error::invalid(field, refusal.to_string()))
}
