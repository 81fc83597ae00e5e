//! Limits on guessing.

use poem::http::Method;
use serde_json::json;

use daypass::account::known::KNOWN;

use crate::support::{Answer, PASSWORD, Service, days, seconds};

impl Service {
    /// Behind a proxy that is believed, so that a test may come from anywhere.
    async fn behind_a_proxy() -> Self {
        Self::with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await
    }

    /// Logs in from an address.
    async fn login_from(&self, address: &str, name: &str, password: &str) -> Answer {
        let headers = [("x-forwarded-for", address.to_owned()), ("content-type", "application/json".to_owned())];
        let body = json!({ "username": name, "password": password }).to_string();
        self.send(Method::POST, "/v1/login", &headers, body).await
    }
}

#[tokio::test]
async fn failures_lock_an_account_whether_or_not_it_exists() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    for name in ["alice", "nobody"] {
        for attempt in 0..5 {
            // Every way to write a name is the same name.
            let name = if attempt % 2 == 0 { name.to_owned() } else { name.to_uppercase() };
            service.login(&name, json!({ "password": "wrong" })).await.is_problem(401);
        }
        let locked = service.login(name, json!({ "password": PASSWORD })).await;
        assert_eq!(locked.is_problem(429).header("retry-after"), "900");
    }
    service.advance(seconds(899));
    assert_eq!(service.login("alice", json!({})).await.is(429).header("retry-after"), "1");
    service.advance(seconds(1));
    service.login("alice", json!({})).await.is(200);
}

#[tokio::test]
async fn a_success_forgets_the_failures_before_it() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    for _ in 0..3 {
        for _ in 0..4 {
            service.login("alice", json!({ "password": "wrong" })).await.is(401);
        }
        service.login("alice", json!({})).await.is(200);
    }
}

#[tokio::test]
async fn an_address_has_so_many_attempts_a_minute() {
    let service = Service::with(|config| config.limits.login_per_minute_per_ip = 3).await;
    service.user("alice", &[]).await;
    for _ in 0..3 {
        service.login("alice", json!({})).await.is(200);
        service.advance(seconds(10));
    }
    assert_eq!(service.login("alice", json!({})).await.is_problem(429).header("retry-after"), "30");
    service.advance(seconds(30));
    service.login("alice", json!({})).await.is(200);
}

#[tokio::test]
async fn another_process_counts_along() {
    let service = Service::with(|config| config.limits.login_failures_before_lock = 2).await;
    service.user("alice", &[]).await;
    let replica = service.replica().await;
    service.login("alice", json!({ "password": "wrong" })).await.is(401);
    replica.login("alice", json!({ "password": "wrong" })).await.is(401);
    service.login("alice", json!({})).await.is(429);
    replica.login("alice", json!({})).await.is(429);
}

#[tokio::test]
async fn more_logins_than_the_hashing_queue_holds_are_told_to_come_back() {
    let service = Service::with(|config| {
        config.passwords.memory_kib = 19_456;
        config.limits.login_failures_before_lock = 0;
    })
    .await;
    // One thread takes tens of milliseconds for each, and 64 may wait: of 200 at once most cannot.
    let logins = (0..200).map(|_| service.login("nobody", json!({})));
    let statuses: Vec<_> = futures_util::future::join_all(logins).await.iter().map(|it| it.status.as_u16()).collect();
    assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&503) && statuses.iter().filter(|status| **status == 401).count() >= 64);
}

/// Workers that all start together have the right password: none of them is a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_passwords_at_once_lock_nobody_out() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    let logins = (0..20).map(|_| service.login("alice", json!({})));
    let statuses: Vec<_> = futures_util::future::join_all(logins).await.iter().map(|it| it.status.as_u16()).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test]
async fn a_right_password_is_no_failure_whatever_else_is_wrong() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    for _ in 0..6 {
        service.login("alice", json!({ "ttl": 0 })).await.is_about(422, "ttl");
        service.login("alice", json!({ "scopes": ["daypass:admin"] })).await.is_problem(403);
    }
    service.login("alice", json!({})).await.is(200);
}

#[tokio::test]
async fn a_new_password_from_an_administrator_lifts_a_lock() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.user("alice", &[]).await;
    for _ in 0..6 {
        service.login("alice", json!({ "password": "wrong" })).await;
    }
    service.login("alice", json!({})).await.is_problem(429);
    let users = service.get("/v1/users", Some(&admin)).await.member("items");
    let alice = users.as_array().unwrap().iter().find(|user| user["username"] == "alice").unwrap()["id"].clone();
    let path = format!("/v1/users/{}", alice.as_str().unwrap());
    service.json(Method::PATCH, &path, Some(&admin), json!({ "password": PASSWORD })).await.is(200);
    service.login("alice", json!({})).await.is(200);
}

#[tokio::test]
async fn revoking_by_possession_is_limited_too() {
    let service = Service::with(|config| config.limits.login_per_minute_per_ip = 2).await;
    let tokens = json!({ "tokens": ["x"] });
    for _ in 0..2 {
        service.post("/v1/tokens/revoke", None, tokens.clone()).await.is(202);
    }
    service.post("/v1/tokens/revoke", None, tokens).await.is_problem(429);
}

const HOME: &str = "192.0.2.7";
const ELSEWHERE: &str = "198.51.100.1";

#[tokio::test]
async fn strangers_do_not_lock_a_user_out_where_they_logged_in_lately() {
    let service = Service::behind_a_proxy().await;
    service.user("alice", &[]).await;
    service.login_from(HOME, "alice", PASSWORD).await.is(200);
    for _ in 0..5 {
        service.login_from(ELSEWHERE, "alice", "wrong").await.is_problem(401);
    }
    service.login_from(ELSEWHERE, "alice", PASSWORD).await.is_problem(429);
    service.login_from("203.0.113.9", "alice", PASSWORD).await.is_problem(429);
    service.login_from(HOME, "ALICE", PASSWORD).await.is(200);
    service.login_from(ELSEWHERE, "alice", PASSWORD).await.is_problem(429);

    // At home too there are so many attempts and no more, which are not those of others.
    for _ in 0..5 {
        service.login_from(HOME, "alice", "wrong").await.is_problem(401);
    }
    service.login_from(HOME, "alice", PASSWORD).await.is_problem(429);
    service.advance(seconds(900));
    service.login_from(ELSEWHERE, "alice", PASSWORD).await.is(200);
}

#[tokio::test]
async fn an_address_is_known_for_thirty_days_after_the_last_login_to_within_one() {
    let service = Service::behind_a_proxy().await;
    service.user("alice", &[]).await;
    let lock = async || {
        for _ in 0..5 {
            service.login_from(ELSEWHERE, "alice", "wrong").await;
        }
        service.login_from(ELSEWHERE, "alice", PASSWORD).await.is_problem(429);
    };
    service.login_from(HOME, "alice", PASSWORD).await.is(200);
    service.advance(days(2));
    service.login_from(HOME, "alice", PASSWORD).await.is(200);
    service.advance(days(29));
    service.advance(seconds(24 * 60 * 60 - 1));
    lock().await;
    service.login_from(HOME, "alice", PASSWORD).await.is(200);
    service.advance(KNOWN);
    lock().await;
    service.login_from(HOME, "alice", PASSWORD).await.is_problem(429);
}

#[tokio::test]
async fn a_new_password_makes_all_addresses_strange_again() {
    let service = Service::behind_a_proxy().await;
    service.user("alice", &[]).await;
    let token = service.login_from(HOME, "alice", PASSWORD).await.token();
    let change = json!({ "current_password": PASSWORD, "new_password": "seven slow brass bells ring" });
    service.json(Method::PUT, "/v1/me/password", Some(&token), change).await.is(204);
    for _ in 0..5 {
        service.login_from(ELSEWHERE, "alice", "wrong").await.is_problem(401);
    }
    service.login_from(HOME, "alice", "seven slow brass bells ring").await.is_problem(429);
}

/// Nobody is known to a name that is nobody's, and nothing tells the two apart.
#[tokio::test]
async fn a_lock_looks_the_same_whether_or_not_the_account_exists() {
    let service = Service::behind_a_proxy().await;
    service.user("alice", &[]).await;
    service.login_from(HOME, "alice", PASSWORD).await.is(200);
    let mut locked = Vec::new();
    for name in ["alice", "nobody"] {
        for _ in 0..5 {
            service.login_from(ELSEWHERE, name, "wrong").await.is_problem(401);
        }
        let answer = service.login_from(ELSEWHERE, name, PASSWORD).await;
        let mut headers = answer.is_problem(429).headers.clone();
        headers.remove("x-request-id");
        locked.push((headers, answer.text.clone()));
    }
    assert_eq!(locked[0], locked[1]);
}

#[tokio::test]
async fn an_ipv6_network_is_one_address() {
    let service = Service::with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.login_per_minute_per_ip = 3;
    })
    .await;
    service.user("alice", &[]).await;
    for host in ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3"] {
        service.login_from(host, "alice", PASSWORD).await.is(200);
    }
    service.login_from("2001:db8:0:1:1:2:3:4", "alice", PASSWORD).await.is_problem(429);
    service.login_from("2001:db8:0:2::1", "alice", PASSWORD).await.is(200);
    service.login_from("::ffff:192.0.2.1", "alice", PASSWORD).await.is(200);
    service.login_from("192.0.2.2", "alice", PASSWORD).await.is(200);
}

#[tokio::test]
async fn a_429_names_its_limit_and_when_it_ends() {
    let service = Service::with(|config| {
        config.limits.login_per_minute_per_ip = 7;
        config.limits.login_failures_before_lock = 2;
        config.limits.lock_for = seconds(90);
    })
    .await;
    let told = |answer: &Answer| {
        assert_eq!(answer.status, 429);
        ["retry-after", "ratelimit-policy", "ratelimit"].map(|name| answer.header(name).to_owned())
    };
    for _ in 0..2 {
        service.login("nobody", json!({})).await.is(401);
    }
    service.advance_ms(500);
    let account = ["90", "\"login-account\";q=2;w=90", "\"login-account\";r=0;t=90"];
    assert_eq!(told(&service.login("nobody", json!({})).await), account);
    // All doors have the same counters, and say so in the same way.
    let django = service.form("/custom_login/", "username=nobody&password=x").await;
    assert_eq!(told(&django), account);
    let knox = service.form("/api/auth/login/", "username=nobody&password=x").await;
    assert_eq!(told(&knox), account);
    for name in ["a", "b"] {
        service.login(name, json!({})).await.is(401);
    }
    let address = ["60", "\"login-address\";q=7;w=60", "\"login-address\";r=0;t=60"];
    assert_eq!(told(&service.login("c", json!({})).await), address);
    service.advance(seconds(2));
    assert_eq!(told(&service.login("c", json!({})).await)[2], "\"login-address\";r=0;t=58");
    assert_eq!(service.login("d", json!({})).await.header("ratelimit"), "\"login-address\";r=0;t=58");
    service.advance(seconds(60));
    let unlimited = service.login("d", json!({})).await;
    assert_eq!((unlimited.status.as_u16(), unlimited.header("ratelimit")), (401, ""), "what is left is for nobody");
}

/// Who is no proxy of ours says where they are in vain: all their attempts are counted as one address's.
#[tokio::test]
async fn an_address_that_a_stranger_makes_up_is_not_believed() {
    let service = Service::with(|config| config.limits.login_per_minute_per_ip = 3).await;
    service.user("alice", &[]).await;
    for number in 0..3 {
        service.login_from(&format!("192.0.2.{number}"), "alice", PASSWORD).await.is(200);
    }
    service.login_from("192.0.2.3", "alice", PASSWORD).await.is_problem(429);
    service.login("alice", json!({})).await.is_problem(429);
}
