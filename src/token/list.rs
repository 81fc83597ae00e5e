//! Looking through tokens.

use std::time::Duration;

use entity::{State, Timestamp, expiry, token};
use sea_orm::{ColumnTrait, Condition, DbErr, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{
    Held, Kind, Owner, precision,
    row::{Row, select},
};
use crate::{app::App, db::Engine};

/// Which tokens are wanted; what is left out does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Whose.
    pub owner: Option<Owner>,
    /// In which state at the instant of asking.
    pub state: Option<State>,
    /// Of which kind.
    pub kind: Option<Kind>,
    /// Ending before this instant.
    pub expires_before: Option<Timestamp>,
}

/// One page, newest first: tokens issued before the one named by `after`, at most `limit`.
pub async fn page(
    app: &App,
    filter: &Filter,
    after: Option<Uuid>,
    limit: u64,
    now: Timestamp,
) -> Result<Vec<Held>, DbErr> {
    select()
        .filter(condition(filter, app.db.engine(), now, precision(app)))
        .filter(Condition::all().add_option(after.map(|id| token::Column::Id.lt(id))))
        .order_by_desc(token::Column::Id)
        .limit(limit)
        .into_model::<Row>()
        .all(app.db.reader())
        .await
        .map(|rows| rows.into_iter().map(Held::from).collect())
}

fn condition(filter: &Filter, engine: Engine, now: Timestamp, precision: Duration) -> Condition {
    let mut condition = Condition::all();
    if let Some(owner) = &filter.owner {
        condition = condition.add(owner.tokens(engine));
    }
    if let Some(state) = filter.state {
        condition = condition.add(match state {
            State::Active => expiry::active(now, precision),
            State::Expired => expiry::expired(now, precision),
            State::Revoked => expiry::revoked(),
        });
    }
    condition
        .add_option(filter.kind.map(|kind| token::Column::Kind.eq(kind)))
        .add_option(filter.expires_before.map(|end| token::Column::ExpiresAt.lt(end)))
}
