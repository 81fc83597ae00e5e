//! Token revocation (RFC 7009).

use std::sync::Arc;

use poem::Request;
use poem_openapi::{ApiResponse, Object, types::Example};

use super::{client_auth, error::Refused, form::Form};
use crate::{account::limits, api::client_address, app::App, token::revoke};

/// A token to be ended (RFC 7009 §2.1).
#[derive(Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct RevocationRequest {
    /// The token.
    pub token: String,
    /// Not looked at: a token says what it is.
    pub token_type_hint: Option<String>,
    /// The client that it was issued to, where it does not authenticate with HTTP Basic.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<String>,
}

impl Example for RevocationRequest {
    fn example() -> Self {
        Self { token: "dpr_0…".to_owned(), token_type_hint: None, client_id: None, client_secret: None }
    }
}

/// The token does not work, whether or not it ever did.
#[derive(ApiResponse)]
pub enum Ended {
    /// The token does not work, whether or not it ever did.
    #[oai(status = 200)]
    Ended,
}

/// Ends a token. Who comes without a client's credentials is limited as those are who revoke by possession.
pub async fn revoke(app: &Arc<App>, request: &Request, form: &Form<RevocationRequest>) -> Result<Ended, Refused> {
    let now = app.clock.now();
    let client = client_auth::client(app, request.headers(), form, now).await?;
    let text = form.require("token", "token is missing")?;
    let from = client_address::origin(request, app);
    if client.is_none() {
        limits::revocation_from(app, &from, now).await?;
    }
    revoke::presented(app, text, client.as_ref().map(|client| client.client_id.as_str()), &from, now).await?;
    Ok(Ended::Ended)
}
