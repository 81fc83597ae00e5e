//! What must hold when things happen to a family at the same moment (TE27).

use std::{sync::Arc, time::Duration};

use poem::http::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::Client;
use crate::support::{Answer, Service};

/// Trades one refresh token many times at once.
async fn trades(service: &Arc<Service>, client: Option<&Client>, refresh: &str, count: usize) -> JoinSet<Answer> {
    let mut trades = JoinSet::new();
    for _ in 0..count {
        let (service, refresh, client) = (Arc::clone(service), refresh.to_owned(), client.cloned());
        trades.spawn(async move {
            match client {
                Some(client) => service.refresh_as(&client, &refresh).await,
                None => service.refresh(&refresh).await,
            }
        });
    }
    tokio::task::yield_now().await;
    trades
}

/// How many of the pairs that were handed out work; no answer may be a 5xx.
async fn working(service: &Service, answers: &[Answer]) -> usize {
    let mut working = 0;
    for answer in answers {
        if answer.status == 200 {
            working += usize::from(service.check(&answer.text_of("access_token")).await.status == 200);
        } else {
            answer.is_error(400, "invalid_grant");
        }
    }
    working
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn te27_of_parallel_trades_one_pair_is_left() {
    let service = Arc::new(Service::start().await);
    service.user("alice", &[]).await;
    let (_, refresh) = service.login_with_refresh("alice").await;
    let answers = trades(&service, None, &refresh, 30).await.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 200), "within the grace each is a retry");
    assert_eq!(working(&service, &answers).await, 1);
    let mut traded = 0;
    for answer in &answers {
        let access = answer.text_of("access_token");
        if service.check(&access).await.status == 200 {
            service.traded(&answer.text_of("refresh_token")).await;
            traded += 1;
        }
    }
    assert_eq!(traded, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn te27_without_a_grace_one_trade_succeeds_and_the_others_are_copies() {
    let service = Arc::new(Service::with(|config| config.oauth.refresh_grace = Duration::ZERO).await);
    service.user("alice", &[]).await;
    let (_, refresh) = service.login_with_refresh("alice").await;
    let answers = trades(&service, None, &refresh, 30).await.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(working(&service, &answers).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_comes_while_its_successor_is_traded_ends_both() {
    let service = Arc::new(Service::start().await);
    service.user("alice", &[]).await;
    for _ in 0..10 {
        let (_, first) = service.login_with_refresh("alice").await;
        let (access, second) = service.traded(&first).await;
        service.advance(Duration::from_secs(30));
        let trading = trades(&service, None, &second, 3).await;
        service.refresh(&first).await.is_error(400, "invalid_grant");
        let answers = trading.join_all().await;
        assert_eq!(working(&service, &answers).await, 0);
        service.check(&access).await.is(401);
        for answer in answers.iter().filter(|answer| answer.status == 200) {
            service.refresh(&answer.text_of("refresh_token")).await.is_error(400, "invalid_grant");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_traded_past_what_ends_it() {
    let service = Arc::new(Service::with_every_grant().await);
    let admin = service.admin().await;
    for (round, how) in ["disable user", "log out", "log out everywhere", "revoke", "disable client"]
        .into_iter()
        .cycle()
        .take(20)
        .enumerate()
    {
        let name = format!("user{round}");
        let client = service.client(&["read"]).await;
        service.user(&name, &["read"]).await;
        let granted = service.password_grant(&client, &name).await;
        let (access, refresh) = (granted.text_of("access_token"), granted.text_of("refresh_token"));
        let user = service.check(&access).await.json()["user"]["id"].as_str().unwrap().to_owned();
        let trading = trades(&service, Some(&client), &refresh, 4).await;
        let ended = match how {
            "disable user" => {
                let path = format!("/v1/users/{user}");
                service.json(Method::PATCH, &path, Some(&admin), json!({ "disabled": true })).await.status == 200
            }
            // The access token may be that of a pair which a retry has replaced by now.
            "log out" => service.post("/v1/logout", Some(&access), json!({})).await.status == 204,
            "log out everywhere" => service.post("/v1/logout-all", Some(&access), json!({})).await.status == 200,
            "revoke" => service.revoke(Some(&client), &refresh).await.status == 200,
            _ => {
                let change = daypass::client::Change { disabled: Some(true), ..daypass::client::Change::default() };
                daypass::client::update(
                    &service.app,
                    &client.id,
                    change,
                    &daypass::audit::Actor::system(),
                    service.now(),
                )
                .await
                .unwrap();
                true
            }
        };
        assert!(ended, "{how}");
        for answer in trading.join_all().await {
            match answer.status.as_u16() {
                200 => {
                    service.check(&answer.text_of("access_token")).await.is(401);
                    let again = service.refresh_as(&client, &answer.text_of("refresh_token")).await;
                    assert!([400, 401].contains(&again.status.as_u16()), "{how}: {again:?}");
                }
                status => assert!([400, 401].contains(&status), "{how}: {answer:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_trade_one_refresh_token() {
    let service = Arc::new(Service::start().await);
    let replica = Arc::new(service.replica().await);
    service.user("alice", &[]).await;
    for _ in 0..10 {
        let (_, refresh) = service.login_with_refresh("alice").await;
        let (here, there) = (trades(&service, None, &refresh, 2).await, trades(&replica, None, &refresh, 2).await);
        let mut answers = here.join_all().await;
        answers.extend(there.join_all().await);
        service.look().await;
        assert_eq!(working(&service, &answers).await, 1);
    }
}
