//! OAuth clients, for administrators.

use std::sync::Arc;

use entity::{Grant, Grants, Timestamp};
use poem::web::Data;
use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};
use serde::Deserialize;

use super::session::Done;
use crate::{
    api::{
        auth::Admin,
        body::{self, Body, OptionalBody},
        json::{Time, cut, page_size, parse_cursor},
        problem::ApiError,
        tags::Tag,
    },
    app::App,
    client::{self, Change, Created, New},
};

/// OAuth clients.
#[derive(Debug)]
pub struct ClientsApi;

/// What a client may trade for a token (RFC 6749 §1.3).
#[derive(Clone, Copy, Debug, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case", remote = "Grant")]
pub enum GrantType {
    /// Its own credentials.
    ClientCredentials,
    /// A user's name and password; only while `oauth.password_grant` is on.
    Password,
    /// A refresh token.
    RefreshToken,
}

/// An OAuth client, without its secret.
#[derive(Clone, Debug, Object)]
#[oai(example)]
#[expect(clippy::struct_field_names, reason = "RFC 6749 calls it client_id")]
pub struct Client {
    /// The client id.
    client_id: String,
    /// What people call it.
    name: String,
    /// What tokens that are issued to it may hold.
    scopes: Vec<String>,
    /// What it may trade for tokens.
    grants: Vec<GrantType>,
    /// Whether it is refused.
    disabled: bool,
    /// When it was made.
    created_at: Time,
    /// Until when the secret that a rotation replaced works too; at that instant it no longer does.
    previous_secret_expires_at: Option<Time>,
}

impl Client {
    /// What is told of a client at `now`.
    pub fn of(row: &client::Model, now: Timestamp) -> Self {
        Self {
            client_id: row.client_id.clone(),
            name: row.name.clone(),
            scopes: row.scopes.clone().into(),
            grants: row.grants.iter().map(Into::into).collect(),
            disabled: row.disabled_at.is_some(),
            created_at: Time(row.created_at),
            previous_secret_expires_at: row.previous_expires_at.filter(|end| now < *end).map(Time),
        }
    }
}

impl Example for Client {
    fn example() -> Self {
        Self {
            client_id: "0353vs2wJDQfWjkzm86vZA".to_owned(),
            name: "billing".to_owned(),
            scopes: vec!["orders:read".to_owned()],
            grants: vec![GrantType::ClientCredentials, GrantType::RefreshToken],
            disabled: false,
            created_at: Time(Timestamp::from_millis(1_795_510_800_000)),
            previous_secret_expires_at: None,
        }
    }
}

/// A client with a secret that was just made. The `client_secret` is shown here once and never again.
#[derive(Object)]
#[oai(example)]
pub struct IssuedClient {
    /// The secret: 43 letters and digits.
    client_secret: String,
    /// What is known of it from now on.
    #[oai(flatten)]
    client: Client,
}

impl IssuedClient {
    /// Shows a secret that was just made: the one place where it leaves.
    pub fn show(created: &Created, now: Timestamp) -> Self {
        Self { client_secret: created.secret.expose().to_owned(), client: Client::of(&created.client, now) }
    }
}

impl Example for IssuedClient {
    fn example() -> Self {
        Self { client_secret: "0…".to_owned(), client: Client::example() }
    }
}

/// A client to be made.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct CreateClientRequest {
    /// What to call it.
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    /// What tokens that are issued to it may hold; nothing if left out. With `daypass:introspect` it may introspect tokens.
    scopes: Option<Vec<String>>,
    /// What it may trade for tokens; `client_credentials` and `refresh_token` if left out.
    grants: Option<Vec<GrantType>>,
}

impl Example for CreateClientRequest {
    fn example() -> Self {
        Self {
            name: "billing".to_owned(),
            scopes: Some(vec!["orders:read".to_owned()]),
            grants: Some(vec![GrantType::ClientCredentials]),
        }
    }
}

/// What is to change of a client; what is left out stays.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct UpdateClientRequest {
    /// What to call it.
    #[oai(validator(min_length = 1, max_length = 200))]
    name: Option<String>,
    /// What tokens that are issued to it from now on may hold; those that are out there keep what they have.
    scopes: Option<Vec<String>>,
    /// What it may trade for tokens from now on.
    grants: Option<Vec<GrantType>>,
    /// Whether it is refused; true ends every token that was issued to it.
    disabled: Option<bool>,
}

impl Example for UpdateClientRequest {
    fn example() -> Self {
        Self {
            name: Some("billing".to_owned()),
            scopes: Some(vec!["orders:read".to_owned()]),
            grants: None,
            disabled: Some(false),
        }
    }
}

/// How to rotate a client's secret.
#[derive(Debug, Default, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct RotateSecretRequest {
    /// Seconds for which the old secret works too, at most 7 days; 0 if left out.
    #[serde(default, deserialize_with = "body::whole_number")]
    #[oai(validator(minimum(value = "0"), maximum(value = "604800")))]
    overlap: Option<i64>,
}

impl Example for RotateSecretRequest {
    fn example() -> Self {
        Self { overlap: Some(86_400) }
    }
}

/// A client was made.
#[derive(ApiResponse)]
pub enum CreatedClient {
    /// Made. The secret is shown here once and never again.
    #[oai(status = 201)]
    Client(Json<IssuedClient>),
}

/// One page of clients, newest first.
#[derive(Debug, Object)]
#[oai(example)]
pub struct ClientPage {
    /// The clients.
    items: Vec<Client>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
}

impl Example for ClientPage {
    fn example() -> Self {
        Self { items: vec![Client::example()], next_cursor: None }
    }
}

#[OpenApi(prefix_path = "/v1/clients", tag = "Tag::Clients")]
impl ClientsApi {
    /// Create an OAuth client
    ///
    /// `password` among the grants is refused while `oauth.password_grant` is off.
    #[oai(path = "/", method = "post", operation_id = "createClient")]
    async fn create(
        &self,
        Admin(caller): Admin,
        app: Data<&Arc<App>>,
        request: Body<CreateClientRequest>,
    ) -> Result<CreatedClient, ApiError> {
        let CreateClientRequest { name, scopes, grants } = request.0;
        let scopes = body::scopes(scopes.unwrap_or_default())?;
        let grants = grants.map_or_else(client::default_grants, set);
        let created = client::create(&app, New { name, scopes, grants }, &caller.actor(), caller.now).await?;
        Ok(CreatedClient::Client(Json(IssuedClient::show(&created, caller.now))))
    }

    /// List OAuth clients
    ///
    /// Newest first.
    #[oai(path = "/", method = "get", operation_id = "listClients")]
    async fn list(
        &self,
        Admin(caller): Admin,
        app: Data<&Arc<App>>,
        /// How many at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i64>>,
        /// Where to go on: a `next_cursor`.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ClientPage>, ApiError> {
        let limit = page_size(limit.0);
        let after = parse_cursor(cursor.0.as_deref())?;
        let mut rows = client::list(app.db.reader(), app.db.engine(), after, limit + 1).await?;
        let next_cursor = cut(&mut rows, limit, client::key);
        Ok(Json(ClientPage { items: rows.iter().map(|row| Client::of(row, caller.now)).collect(), next_cursor }))
    }

    /// Look at an OAuth client
    #[oai(path = "/:client_id", method = "get", operation_id = "getClient")]
    async fn get(
        &self,
        Admin(caller): Admin,
        app: Data<&Arc<App>>,
        /// The client id.
        client_id: Path<String>,
    ) -> Result<Json<Client>, ApiError> {
        Ok(Json(Client::of(&client::find(app.db.reader(), &client_id).await?, caller.now)))
    }

    /// Change an OAuth client
    ///
    /// Disabling ends every token that was issued to it at once, those of users included. Fewer scopes bind what is issued
    /// from now on.
    #[oai(path = "/:client_id", method = "patch", operation_id = "updateClient")]
    async fn update(
        &self,
        Admin(caller): Admin,
        app: Data<&Arc<App>>,
        /// The client id.
        client_id: Path<String>,
        request: Body<UpdateClientRequest>,
    ) -> Result<Json<Client>, ApiError> {
        let UpdateClientRequest { name, scopes, grants, disabled } = request.0;
        let scopes = scopes.map(body::scopes).transpose()?;
        let change = Change { name, scopes, grants: grants.map(set), disabled };
        Ok(Json(Client::of(&client::update(app.0, &client_id, change, &caller.actor(), caller.now).await?, caller.now)))
    }

    /// Delete an OAuth client
    ///
    /// Ends every token that was issued to it at once, those of users included; the rows go with the purge.
    #[oai(path = "/:client_id", method = "delete", operation_id = "deleteClient")]
    async fn delete(
        &self,
        Admin(caller): Admin,
        app: Data<&Arc<App>>,
        /// The client id.
        client_id: Path<String>,
    ) -> Result<Done, ApiError> {
        client::delete(app.0, &client_id, &caller.actor(), caller.now).await?;
        Ok(Done::NoContent)
    }

    /// Rotate an OAuth client's secret
    ///
    /// Gives it a new secret; its tokens go on. For `overlap` seconds the old secret works too; rotating again ends an
    /// overlap that still runs.
    #[oai(path = "/:client_id/rotate-secret", method = "post", operation_id = "rotateClientSecret")]
    async fn rotate_secret(
        &self,
        Admin(caller): Admin,
        app: Data<&Arc<App>>,
        /// The client id.
        client_id: Path<String>,
        request: OptionalBody<RotateSecretRequest>,
    ) -> Result<Json<IssuedClient>, ApiError> {
        let rotated = client::rotate_secret(app.0, &client_id, request.0.overlap.unwrap_or(0), &caller.actor()).await?;
        Ok(Json(IssuedClient::show(&rotated, caller.now)))
    }
}

fn set(grants: Vec<GrantType>) -> Grants {
    grants.into_iter().map(Grant::from).collect()
}
