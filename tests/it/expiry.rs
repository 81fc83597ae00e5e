//! The expiry rule at its edge: one millisecond before, at, and after, through everything that asks.

use serde_json::json;

use crate::support::{Answer, Service, seconds};

/// What everything that asks says of a token: its check, its state when looked at, and whether lists filtered by state
/// show it.
async fn verdicts(service: &Service, admin: &str, token: &Answer) -> (u16, String, bool, bool) {
    let checked = service.check(&token.token()).await.status.as_u16();
    let (state, active, expired) = shown(service, admin, token).await;
    (checked, state, active, expired)
}

/// The same without the check, which is a use.
async fn shown(service: &Service, admin: &str, token: &Answer) -> (String, bool, bool) {
    let id = token.text_of("id");
    let shown = service.get(&format!("/v1/tokens/{id}"), Some(admin)).await.text_of("state");
    let listed = async |state: &str| {
        let path = format!("/v1/tokens?kind=api&state={state}");
        service.get(&path, Some(admin)).await.text.contains(&id)
    };
    (shown, listed("active").await, listed("expired").await)
}

#[tokio::test]
async fn a_ttl_ends_a_token_exactly_then() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({ "ttl": 60 })).await;
    for (offset, expected) in [
        (-1, (200, "active".to_owned(), true, false)),
        (0, (401, "expired".to_owned(), false, true)),
        (1, (401, "expired".to_owned(), false, true)),
    ] {
        service.set_to(&token.member("expires_at"), offset);
        assert_eq!(verdicts(&service, &admin, &token).await, expected, "{offset} ms");
    }
    assert!(service.check(&token.token()).await.header("www-authenticate").contains("the token has expired"));
}

/// An unused sliding token is granted what its record may lag behind: a quarter of 60 s, and then no more.
#[tokio::test]
async fn an_idle_timeout_ends_a_token_exactly_after_its_allowance() {
    let service = Service::start().await;
    let admin = service.admin().await;
    for (offset, expected) in [
        (-1, (200, "active".to_owned(), true, false)),
        (0, (401, "expired".to_owned(), false, true)),
        (1, (401, "expired".to_owned(), false, true)),
    ] {
        let token = service.issue(&admin, json!({ "idle_timeout": 60 })).await;
        service.set_to(&token.member("expires_at"), 15_000 + offset);
        // The lists come first: a check is a use, and would move the end.
        let (shown, active, expired) = shown(&service, &admin, &token).await;
        let checked = service.check(&token.token()).await.status.as_u16();
        assert_eq!((checked, shown, active, expired), expected, "{offset} ms");
    }
}

#[tokio::test]
async fn a_use_keeps_a_sliding_token_alive_up_to_its_ttl() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({ "ttl": 300, "idle_timeout": 100 })).await;
    for _ in 0..3 {
        service.advance(seconds(90));
        service.check(&token.token()).await.is(200);
    }
    let shown = service.check(&token.token()).await;
    assert_eq!((shown.member("expires_in"), shown.member("limited_by")), (json!(30), json!("ttl")));
    service.set_to(&shown.member("expires_at"), -1);
    service.check(&token.token()).await.is(200);
    service.advance_ms(1);
    service.check(&token.token()).await.is(401);
}

#[tokio::test]
async fn the_first_use_is_recorded_at_once_and_later_ones_to_within_a_minute() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({})).await;
    let recorded = async || {
        service.flush().await;
        let held = daypass::token::find(service.app.db.reader(), token.text_of("id").parse().unwrap()).await;
        held.unwrap().unwrap().last_used_at().map(|at| at.millis_since(crate::support::START))
    };
    assert_eq!(recorded().await, None);
    service.advance(seconds(1));
    service.check(&token.token()).await.is(200);
    assert_eq!(recorded().await, Some(1000));
    // A second before the minute is over, which is for the time that writing takes.
    service.advance_ms(58_999);
    service.check(&token.token()).await.is(200);
    assert_eq!(recorded().await, Some(1000));
    service.advance_ms(1);
    service.check(&token.token()).await.is(200);
    assert_eq!(recorded().await, Some(60_000));
}

#[tokio::test]
async fn a_renewal_in_the_last_millisecond_makes_nothing_immortal() {
    let service = Service::with(|config| {
        config.tokens.api.ttl = seconds(100);
        config.tokens.api.max_lifetime = seconds(150);
    })
    .await;
    let admin = service.admin().await;
    let token = service.issue(&admin, json!({})).await;
    service.set_to(&token.member("expires_at"), -1);
    let path = format!("/v1/tokens/{}/renew", token.text_of("id"));
    let renewed = service.post(&path, Some(&admin), json!({ "ttl": i64::MAX })).await;
    assert_eq!(renewed.is(200).member("expires_at"), token.member("max_expires_at"));
    service.set_to(&token.member("max_expires_at"), -1);
    service.check(&token.token()).await.is(200);
    service.post(&path, Some(&admin), json!({})).await.is(200);
    service.advance_ms(1);
    service.check(&token.token()).await.is(401);
    service.post(&path, Some(&admin), json!({})).await.is_problem(409);
}

/// The rule in Rust and the rule in SQL say the same of every row, around every edge it has.
#[tokio::test]
async fn rust_and_sql_agree() {
    let service = Service::start().await;
    let admin = service.admin().await;
    let wanted = [
        json!({ "ttl": 100 }),
        json!({ "ttl": 100, "idle_timeout": 60 }),
        json!({ "ttl": 70, "idle_timeout": 60 }),
        json!({ "ttl": 1000, "idle_timeout": 400 }),
    ];
    let mut edges = vec![0];
    for wanted in wanted {
        let token = service.issue(&admin, wanted).await;
        let held = daypass::token::find(service.app.db.reader(), token.text_of("id").parse().unwrap()).await;
        let life = held.unwrap().unwrap().life();
        let precision = daypass::token::precision(&service.app);
        for edge in [life.expires_at, life.ttl_expires_at, life.works_until(precision)] {
            edges.extend((-1..=1).map(|offset| edge.millis() - crate::support::START.millis() + offset));
        }
    }
    for edge in edges {
        let now = entity::Timestamp::from_millis(crate::support::START.millis() + edge);
        let all = page(&service, None, now).await;
        assert!(all.len() >= 5);
        for state in [daypass::token::State::Active, daypass::token::State::Expired] {
            let by_sql: Vec<_> = page(&service, Some(state), now).await.iter().map(daypass::token::Held::id).collect();
            let precision = daypass::token::precision(&service.app);
            let by_rust = all.iter().filter(|held| held.life().state(now, precision) == state);
            assert_eq!(by_sql, by_rust.map(daypass::token::Held::id).collect::<Vec<_>>(), "{state:?} at +{edge} ms");
        }
    }
}

async fn page(
    service: &Service,
    state: Option<daypass::token::State>,
    now: entity::Timestamp,
) -> Vec<daypass::token::Held> {
    let filter = daypass::token::list::Filter { state, ..Default::default() };
    daypass::token::list::page(&service.app, &filter, None, 200, now).await.unwrap()
}
