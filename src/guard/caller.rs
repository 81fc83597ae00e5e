//! Who is calling, as a service wants to know it.

use entity::{Scopes, Timestamp};
use poem::{FromRequest, Request, RequestBody};
use uuid::Uuid;

use super::Guard;
use crate::{api::problem::ApiError, error::Error, token::check::Checked};

/// Who presented a token that works. Nothing in it is secret.
///
/// It is an extractor: in a handler behind a [`Guard`] it is who that let through, and in one that only has a `Guard` among its
/// data it is checked then. Elsewhere there is no guard to ask, which is a mistake in the program and answered with 500.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// The user; none for a client's own token.
    pub user_id: Option<Uuid>,
    /// The user's name; none for a client's own token.
    pub username: Option<String>,
    /// The OAuth client that the token was issued to, if to one.
    pub client_id: Option<String>,
    /// The token's public name, for logs and for revoking it.
    pub token_id: Uuid,
    /// What the token may do.
    pub scopes: Scopes,
    /// When the token stops working, unless it is used or renewed before; exclusive. From elsewhere in whole seconds.
    pub expires_at: Timestamp,
}

impl Caller {
    /// Whether the token may do this.
    pub fn holds(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }

    /// Refuses (403 `insufficient_scope`) a token that does not hold all of these.
    pub fn must_hold<S: AsRef<str>>(&self, scopes: &[S]) -> Result<(), ApiError> {
        if scopes.iter().all(|scope| self.holds(scope.as_ref())) {
            return Ok(());
        }
        let needed: Vec<_> = scopes.iter().map(AsRef::as_ref).collect();
        Err(ApiError::insufficient_scope(&needed.join(" ")))
    }
}

impl From<&Checked> for Caller {
    fn from(checked: &Checked) -> Self {
        let held = &checked.held;
        Self {
            user_id: held.user_id(),
            username: held.user_id().map(|_| held.username().to_owned()),
            client_id: held.client_id().map(str::to_owned),
            token_id: held.id(),
            scopes: held.scopes(),
            expires_at: checked.expires_at(),
        }
    }
}

impl<'a> FromRequest<'a> for Caller {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        match (request.extensions().get::<Self>(), request.data::<Guard>()) {
            (Some(caller), None) => Ok(caller.clone()),
            // Who was let in farther out may lack what is needed here.
            (Some(caller), Some(guard)) => {
                caller.must_hold(&guard.scopes)?;
                Ok(caller.clone())
            }
            (None, Some(guard)) => Ok(guard.admit(request.headers()).await?),
            (None, None) => {
                Err(ApiError::from(Error::Internal("a handler asks for a Caller where no Guard is".to_owned())).into())
            }
        }
    }
}
