//! Making, changing and ending clients.

use std::sync::Arc;

use entity::{DigestAlgorithm, Grant, Grants, Scopes, Timestamp, audit_event::Event, client};
use sea_orm::{ActiveModelTrait as _, DbErr, EntityTrait, IntoActiveModel, QuerySelect};

use super::{ClientSecret, Model, undeleted};
use crate::{
    app::App,
    audit::{Actor, Done},
    error::Error,
    id,
    token::{
        issue::checked_name,
        revoke::{self, Why},
        rotate::checked_overlap,
        secret::{id_text, read_id},
    },
    write::{Write, write},
};

/// A client to be made.
#[derive(Debug)]
pub struct New {
    /// What people call it.
    pub name: String,
    /// What tokens that are issued to it may hold.
    pub scopes: Scopes,
    /// What it may trade for tokens.
    pub grants: Grants,
}

/// A client with a secret that was just made: the one thing that holds both.
#[derive(Debug)]
pub struct Created {
    /// What is known of it.
    pub client: Model,
    /// Its secret.
    pub secret: ClientSecret,
}

/// What is to change of a client; what is left out stays.
#[derive(Debug, Default)]
pub struct Change {
    /// What people call it from now on.
    pub name: Option<String>,
    /// What tokens that are issued to it from now on may hold. Those that are out there keep what they have until they end:
    /// a check does not read the client. To take it from them, disable the client.
    pub scopes: Option<Scopes>,
    /// What it may trade for tokens from now on.
    pub grants: Option<Grants>,
    /// Whether it is refused.
    pub disabled: Option<bool>,
}

/// The grants of a client that was made without naming any.
pub fn default_grants() -> Grants {
    [Grant::ClientCredentials, Grant::RefreshToken].into_iter().collect()
}

/// Makes a client.
pub async fn create(app: &Arc<App>, new: New, by: &Actor, now: Timestamp) -> Result<Created, Error> {
    accept_grants(app, &new.grants)?;
    let secret = ClientSecret::generate()?;
    let client = Model {
        client_id: id_text(id::new(now)),
        name: checked_name(new.name)?,
        digest_algorithm: DigestAlgorithm::Sha256,
        digest: secret.digest(),
        previous_digest: None,
        previous_expires_at: None,
        scopes: new.scopes,
        grants: new.grants,
        created_at: now,
        disabled_at: None,
        deleted_at: None,
        changed_at: now,
    };
    let row = client.clone();
    write(app, by, move |write| {
        Box::pin(async move {
            write.record(Done::new(Event::ClientCreated).client(Some(&row.client_id)));
            let insert = client::Entity::insert(row.into_active_model().reset_all());
            Ok(insert.exec_without_returning(write.txn()).await.map(drop)?)
        })
    })
    .await?;
    Ok(Created { client, secret })
}

/// Changes a client. Disabling ends every token that was issued to it, those of users included, in the same transaction.
pub async fn update(
    app: &Arc<App>,
    client_id: &str,
    change: Change,
    by: &Actor,
    now: Timestamp,
) -> Result<Model, Error> {
    let Change { name, scopes, grants, disabled } = change;
    let name = name.map(checked_name).transpose()?;
    if let Some(grants) = &grants {
        accept_grants(app, grants)?;
    }
    let (shared, client_id) = (Arc::clone(app), client_id.to_owned());
    let changed = [
        name.as_ref().map(|_| "name"),
        scopes.as_ref().map(|_| "scopes"),
        grants.as_ref().map(|_| "grants"),
        disabled.map(|disabled| if disabled { "disabled" } else { "enabled" }),
    ];
    let changed = changed.into_iter().flatten().collect::<Vec<_>>().join(" ");
    write(app, by, move |write| {
        Box::pin(async move {
            let mut row = lock(write, &client_id).await?;
            write.record(Done::new(Event::ClientUpdated).client(Some(&client_id)).reason(changed));
            row.name = name.unwrap_or(row.name);
            row.scopes = scopes.unwrap_or(row.scopes);
            row.grants = grants.unwrap_or(row.grants);
            if let Some(disabled) = disabled {
                row.disabled_at = disabled.then(|| row.disabled_at.unwrap_or(now));
            }
            if disabled == Some(true) {
                revoke::all_issued_to(&shared, write, &client_id, Why::ClientDisabled, now).await?;
            }
            row.changed_at = now;
            save(write, row.clone()).await?;
            Ok(row)
        })
    })
    .await
}

/// Deletes a client: every token that was issued to it ends at once, the rows go with the purge.
pub async fn delete(app: &Arc<App>, client_id: &str, by: &Actor, now: Timestamp) -> Result<(), Error> {
    let (shared, client_id) = (Arc::clone(app), client_id.to_owned());
    write(app, by, move |write| {
        Box::pin(async move {
            let mut row = lock(write, &client_id).await?;
            write.record(Done::new(Event::ClientDeleted).client(Some(&client_id)));
            revoke::all_issued_to(&shared, write, &client_id, Why::ClientDeleted, now).await?;
            row.deleted_at = Some(now);
            row.disabled_at = row.disabled_at.or(Some(now));
            row.previous_digest = None;
            row.previous_expires_at = None;
            row.changed_at = now;
            Ok(save(write, row).await?)
        })
    })
    .await
}

/// Replaces a client's secret; its tokens go on.
///
/// For `overlap` seconds the old secret works too. At most two do: rotating again ends an overlap that still runs.
pub async fn rotate_secret(app: &Arc<App>, client_id: &str, overlap: i64, by: &Actor) -> Result<Created, Error> {
    checked_overlap(overlap)?;
    let (shared, client_id) = (Arc::clone(app), client_id.to_owned());
    write(app, by, move |write| {
        Box::pin(async move {
            let mut row = lock(write, &client_id).await?;
            // Which may have gone on while the lock was waited for.
            let now = shared.clock.now();
            let secret = ClientSecret::generate()?;
            let kept = (overlap > 0).then_some(row.digest);
            row.previous_digest = kept;
            row.previous_expires_at = kept.map(|_| now.plus_seconds(overlap));
            row.digest_algorithm = DigestAlgorithm::Sha256;
            row.digest = secret.digest();
            row.changed_at = now;
            save(write, row.clone()).await?;
            write.record(Done::new(Event::ClientSecretRotated).client(Some(&client_id)));
            Ok(Created { client: row, secret })
        })
    })
    .await
}

/// Refuses what the settings switch off.
fn accept_grants(app: &App, grants: &Grants) -> Result<(), Error> {
    if grants.contains(Grant::Password) && !app.config.oauth.password_grant {
        return Err(Error::invalid("grants", "may not hold password while oauth.password_grant is off"));
    }
    Ok(())
}

/// The client's row inside a transaction, locked where the engine locks rows: nothing makes a token for it meanwhile.
pub(crate) async fn lock(write: &Write<'_>, client_id: &str) -> Result<Model, Error> {
    if read_id(client_id).is_none() {
        return Err(Error::NotFound("client"));
    }
    undeleted(client_id).lock_exclusive().one(write.txn()).await?.ok_or(Error::NotFound("client"))
}

/// Writes the whole row.
async fn save(write: &Write<'_>, row: Model) -> Result<(), DbErr> {
    client::Entity::update(row.into_active_model().reset_all()).exec_without_returning(write.txn()).await.map(drop)
}
