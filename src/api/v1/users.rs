//! Users, for administrators.

use std::sync::Arc;

use poem::{http::StatusCode, web::Data};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};
use serde::Deserialize;
use uuid::Uuid;

use super::session::Done;
use crate::{
    account::{
        password::Password,
        users::{self, Change, Username},
    },
    api::{
        auth::Admin,
        body::{self, Body},
        json::{User, cut, page_size, parse_cursor},
        problem::ApiError,
        tags::Tag,
    },
    app::App,
};

/// Users.
#[derive(Debug)]
pub struct UsersApi;

/// A user to be made.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct CreateUserRequest {
    /// ASCII letters, digits and `._@+-`; unique without regard to case.
    #[oai(validator(min_length = 1, max_length = 150, pattern = r"^[A-Za-z0-9._@+-]+$"))]
    username: String,
    /// The first password.
    #[oai(validator(max_length = 1024))]
    password: String,
    /// What tokens of this user may hold; nothing if left out.
    scopes: Option<Vec<String>>,
}

impl Example for CreateUserRequest {
    fn example() -> Self {
        Self {
            username: "alice".to_owned(),
            password: "a long and lovely passphrase".to_owned(),
            scopes: Some(vec!["orders:read".to_owned()]),
        }
    }
}

/// What is to change of a user; what is left out stays.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct UpdateUserRequest {
    /// A new password; ends every token of the user.
    #[oai(validator(max_length = 1024))]
    password: Option<String>,
    /// What tokens of this user may hold from now on; those that are out there included.
    scopes: Option<Vec<String>>,
    /// Whether the user is barred from logging in; true ends every token of the user.
    disabled: Option<bool>,
}

impl Example for UpdateUserRequest {
    fn example() -> Self {
        Self { password: None, scopes: Some(vec!["orders:read".to_owned()]), disabled: Some(false) }
    }
}

/// A user was made.
#[derive(ApiResponse)]
pub enum CreatedUser {
    /// Made.
    #[oai(status = 201)]
    User(Json<User>),
}

/// One page of users, newest first.
#[derive(Debug, Object)]
#[oai(example)]
pub struct UserPage {
    /// The users.
    items: Vec<User>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
}

impl Example for UserPage {
    fn example() -> Self {
        Self { items: vec![User::example()], next_cursor: None }
    }
}

#[OpenApi(prefix_path = "/v1/users", tag = "Tag::Users")]
impl UsersApi {
    /// Create a user
    #[oai(path = "/", method = "post", operation_id = "createUser")]
    async fn create(
        &self,
        Admin(caller): Admin,
        app: Data<&Arc<App>>,
        request: Body<CreateUserRequest>,
    ) -> Result<CreatedUser, ApiError> {
        let CreateUserRequest { username, password, scopes } = request.0;
        let name = Username::parse(&username)?;
        let scopes = body::scopes(scopes.unwrap_or_default())?;
        let user = users::create(&app, &name, Password::new(password), scopes, &caller.actor(), caller.now).await?;
        Ok(CreatedUser::User(Json(user.into())))
    }

    /// List users
    ///
    /// Newest first.
    #[oai(path = "/", method = "get", operation_id = "listUsers")]
    async fn list(
        &self,
        _admin: Admin,
        app: Data<&Arc<App>>,
        /// How many at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i64>>,
        /// Where to go on: a `next_cursor`.
        cursor: Query<Option<String>>,
    ) -> Result<Json<UserPage>, ApiError> {
        let limit = page_size(limit.0);
        let mut rows = users::page(app.db.reader(), parse_cursor(cursor.0.as_deref())?, limit + 1).await?;
        let next_cursor = cut(&mut rows, limit, |user| user.id);
        Ok(Json(UserPage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
    }

    /// Look at a user
    #[oai(path = "/:id", method = "get", operation_id = "getUser")]
    async fn get(
        &self,
        _admin: Admin,
        app: Data<&Arc<App>>,
        /// The user id.
        id: Path<String>,
    ) -> Result<Json<User>, ApiError> {
        Ok(Json(users::find(app.db.reader(), parse_id(&id)?).await?.into()))
    }

    /// Change a user
    ///
    /// A new password or disabling ends every token of the user at once.
    #[oai(path = "/:id", method = "patch", operation_id = "updateUser")]
    async fn update(
        &self,
        Admin(caller): Admin,
        app: Data<&Arc<App>>,
        /// The user id.
        id: Path<String>,
        request: Body<UpdateUserRequest>,
    ) -> Result<Json<User>, ApiError> {
        let UpdateUserRequest { password, scopes, disabled } = request.0;
        let change =
            Change { password: password.map(Password::new), scopes: scopes.map(body::scopes).transpose()?, disabled };
        Ok(Json(users::change(app.0, parse_id(&id)?, change, &caller.actor(), caller.now).await?.into()))
    }

    /// Delete a user
    ///
    /// Ends every token of the user at once and frees the name; the rows go with the purge.
    #[oai(path = "/:id", method = "delete", operation_id = "deleteUser")]
    async fn delete(
        &self,
        Admin(caller): Admin,
        app: Data<&Arc<App>>,
        /// The user id.
        id: Path<String>,
    ) -> Result<Done, ApiError> {
        users::delete(app.0, parse_id(&id)?, &caller.actor(), caller.now).await?;
        Ok(Done::NoContent)
    }
}

fn parse_id(id: &str) -> Result<Uuid, ApiError> {
    id.parse().map_err(|_| ApiError::field(StatusCode::BAD_REQUEST, "id", "must be a UUID"))
}
