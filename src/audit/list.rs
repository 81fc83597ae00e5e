//! Looking through events.

use entity::{
    Timestamp,
    audit_event::{Column, Entity, Event, Model},
};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::id;

/// How many events one page looks at. The trail has no index but its time: one that holds millions of events, of which few are
/// wanted, would keep a reader waiting and the database busy.
pub const LOOKED_AT: u64 = 20_000;

/// Which events are wanted; what is left out does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// What happened.
    pub event: Option<Event>,
    /// Who did it: a user's or a client's id.
    pub actor: Option<String>,
    /// To whom: a user's or a client's id.
    pub subject: Option<String>,
    /// To which token, or with which.
    pub token: Option<Uuid>,
    /// At this instant or after.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
}

/// Some events, newest first.
#[derive(Debug)]
pub struct Page {
    /// The events.
    pub events: Vec<Model>,
    /// Where to go on; none where there is nothing more.
    pub next: Option<Uuid>,
}

/// One page: events written before the one named by `after`, at most `limit`, of the next `look_at` there are. There may be more
/// where a page is short, or even empty: `next` says so.
pub async fn page(
    db: &impl ConnectionTrait,
    filter: &Filter,
    after: Option<Uuid>,
    limit: u64,
    look_at: u64,
) -> Result<Page, DbErr> {
    let span = span(filter, after);
    let last = Entity::find().select_only().column(Column::Id).filter(span.clone()).order_by_desc(Column::Id);
    let last: Option<Uuid> = last.offset(look_at.saturating_sub(1)).limit(1).into_tuple().one(db).await?;
    let wanted = span.add(subject(filter)).add_option(last.map(|last| Column::Id.gte(last)));
    let mut events = Entity::find().filter(wanted).order_by_desc(Column::Id).limit(limit + 1).all(db).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = if events.len() > limit {
        events.truncate(limit);
        events.last().map(|event| event.id)
    } else {
        last
    };
    Ok(Page { events, next })
}

/// What the key can tell.
fn span(filter: &Filter, after: Option<Uuid>) -> Condition {
    Condition::all()
        .add_option(after.map(|id| Column::Id.lt(id)))
        .add_option(filter.since.map(|since| Column::Id.gte(id::first_of(since))))
        .add_option(filter.until.map(|until| Column::Id.lt(id::first_of(until))))
}

fn subject(filter: &Filter) -> Condition {
    let of_token = |id: Uuid| Condition::any().add(Column::TokenId.eq(id)).add(Column::ActorTokenId.eq(id));
    Condition::all()
        .add_option(filter.event.map(|event| Column::Event.eq(event)))
        .add_option(filter.actor.as_ref().map(|actor| Column::ActorId.eq(actor)))
        .add_option(filter.subject.as_ref().map(|subject| match subject.parse::<Uuid>() {
            Ok(user) => Column::UserId.eq(user),
            Err(_) => Column::ClientId.eq(subject),
        }))
        .add_option(filter.token.map(of_token))
}
