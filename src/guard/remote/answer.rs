//! Reading what introspection answers (RFC 7662 §2.2), without guessing: what is not as Daypass writes it is no answer.

use std::sync::Arc;

use entity::{Scopes, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use crate::guard::Caller;

/// What is known of a token.
#[derive(Clone)]
pub(super) enum Answer {
    /// It works.
    Active(Arc<Caller>),
    /// It does not, for a reason that is not told.
    Inactive,
    /// It works, to be traded for new tokens by the client that asked; it opens nothing.
    Refresh,
}

#[derive(Deserialize)]
struct Introspection {
    active: bool,
    scope: Option<String>,
    client_id: Option<String>,
    username: Option<String>,
    token_type: Option<String>,
    exp: Option<i64>,
    sub: Option<String>,
    jti: Option<Uuid>,
}

/// Reads an answer; an error says what is wrong with it, in words that repeat none of it.
pub(super) fn read(body: &[u8]) -> Result<Answer, &'static str> {
    let told: Introspection =
        serde_json::from_slice(body).map_err(|_| "the answer is no JSON object with `active` true or false")?;
    if !told.active {
        return Ok(Answer::Inactive);
    }
    // Other types need more than the token to be presented.
    match told.token_type.as_deref() {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(_) | None => return Ok(Answer::Refresh),
    }
    let user_id = match (&told.username, told.sub) {
        (Some(_), Some(sub)) => Some(Uuid::parse_str(&sub).map_err(|_| "`sub` is no user id")?),
        (Some(_), None) => return Err("there is no `sub`"),
        (None, _) => None,
    };
    let seconds = told.exp.ok_or("there is no `exp`")?;
    Ok(Answer::Active(Arc::new(Caller {
        user_id,
        username: told.username,
        client_id: told.client_id,
        token_id: told.jti.ok_or("there is no `jti`")?,
        scopes: told.scope.unwrap_or_default().parse::<Scopes>().map_err(|_| "`scope` holds what is no scope")?,
        expires_at: Timestamp::from_millis(seconds.saturating_mul(1000)).min(Timestamp::MAX),
    })))
}
