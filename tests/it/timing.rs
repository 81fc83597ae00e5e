//! How long a refused login takes tells nothing.

use std::time::Instant;

use daypass::account::{
    password::{Cost, Hasher, Password},
    users,
};
use entity::{PasswordHash, user};
use poem::http::Method;
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    EntityTrait,
};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Service};

/// How often each kind is tried.
const ROUNDS: usize = 80;

/// A wrong password, a name that is nobody's, and users who are barred, have no password, or have a hash from when hashes cost
/// less: tried in turns, so that whatever else the machine does falls on all of them alike. With hashes of a few milliseconds a
/// difference of some hundred microseconds shows.
#[tokio::test]
async fn all_who_are_not_let_in_take_the_same_time_and_look_the_same() {
    let service = Service::with(|config| {
        config.passwords.memory_kib = 4096;
        config.passwords.iterations = 2;
        config.limits.login_failures_before_lock = 1_000_000;
    })
    .await;
    let admin = service.admin().await;
    for name in ["alice", "dave", "erin"] {
        service.user(name, &[]).await;
    }
    let carol = json!({ "username": "carol", "password": PASSWORD });
    let carol = service.post("/v1/users", Some(&admin), carol).await.text_of("id");
    service.json(Method::PATCH, &format!("/v1/users/{carol}"), Some(&admin), json!({ "disabled": true })).await.is(200);
    set_hash(&service, "dave", None).await;
    let cheap = Hasher::start(Cost { memory_kib: 1024, iterations: 1, parallelism: 1 }, 1).unwrap();
    let cheap = cheap.hash(Password::new(PASSWORD.to_owned())).await.unwrap();
    set_hash(&service, "erin", Some(cheap)).await;

    let kinds = ["alice", "nobody", "carol", "dave", "erin"];
    are_alike(&service, &kinds, json!({ "password": "wrong" }), 401, |median| 0.05 * median).await;
    // Who is told apart from them by nothing but a right password is let in.
    service.login("erin", json!({})).await.is(200);
}

/// Nothing is hashed for these, so what is left is how long the database takes to find who is there, and who is not.
#[tokio::test]
async fn a_lock_and_a_password_that_is_too_long_take_the_same_time_whoever_is_named() {
    let service = Service::start().await;
    service.user("alice", &[]).await;
    for name in ["alice", "nobody"] {
        for _ in 0..5 {
            service.login(name, json!({ "password": "wrong" })).await.is(401);
        }
    }
    for (body, status) in [(json!({}), 429), (json!({ "password": "x".repeat(1025) }), 422)] {
        // A tenth of a millisecond is less than what a network adds by chance.
        are_alike(&service, &["alice", "nobody"], body, status, |_| 0.0001).await;
    }
}

/// Puts a hash in the place of a user's.
async fn set_hash(service: &Service, name: &str, hash: Option<PasswordHash>) {
    let user = users::find_by_name(service.app.db.reader(), name).await.unwrap().unwrap();
    let changed = user::ActiveModel { id: Unchanged(user.id), password_hash: Set(hash), ..Default::default() };
    user::Entity::update(changed).exec(service.app.db.writer()).await.unwrap();
}

/// Logs each of these in with the same body, in turns; how long each took. All are answered in the same words.
async fn measure(service: &Service, names: &[&str], body: Value, status: u16) -> Vec<Vec<f64>> {
    let (mut times, mut answers) = (vec![Vec::new(); names.len()], Vec::new());
    for round in 0..ROUNDS {
        for at in 0..names.len() {
            let which = (round + at) % names.len();
            let began = Instant::now();
            let answer = service.login(names[which], body.clone()).await;
            times[which].push(began.elapsed().as_secs_f64());
            let mut headers = answer.is_problem(status).headers.clone();
            headers.remove("x-request-id");
            answers.push((headers, answer.text));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    times
}

/// None differs from the first in each of three measurements: what tells them apart does so every time, and a machine that is
/// busy with something else does not.
async fn are_alike(service: &Service, names: &[&str], body: Value, status: u16, gap: fn(f64) -> f64) {
    let mut told = Vec::new();
    for _ in 0..3 {
        let times = measure(service, names, body.clone(), status).await;
        let apart = (1..names.len()).filter_map(|at| difference(&times[0], &times[at], gap).map(|by| (names[at], by)));
        let apart: Vec<_> = apart.collect();
        if apart.is_empty() {
            return;
        }
        told.push(apart);
    }
    let always = told[0].iter().filter(|one| told.iter().all(|apart| apart.iter().any(|other| other.0 == one.0)));
    assert_eq!(always.count(), 0, "{status}: these differ from {}: {told:?}", names[0]);
}

/// How two samples differ, if they do. By chance alone |z| is beyond 4 once in 15,000 times; the gap, in seconds of a median, leaves out
/// what is real and cannot be seen from afar.
fn difference(one: &[f64], other: &[f64], gap: fn(f64) -> f64) -> Option<String> {
    let (z, apart, median) = (mann_whitney(one, other), median(other) - median(one), median(one));
    let differ = z.abs() >= 4.0 && apart.abs() >= gap(median);
    differ.then(|| format!("z {z:.1}, {:.0} us of {:.0}", apart * 1e6, median * 1e6))
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// How far two samples are from being of one distribution, in standard deviations (Mann and Whitney, 1947).
#[expect(clippy::cast_precision_loss, reason = "samples are small")]
fn mann_whitney(left: &[f64], right: &[f64]) -> f64 {
    let before = left.iter().map(|it| right.iter().filter(|other| *other < it).count()).sum::<usize>() as f64;
    let (n, m) = (left.len() as f64, right.len() as f64);
    (before - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// The measure finds what it is for: with no hash at all for one of them, the two are worlds apart.
#[test]
fn the_measure_tells_samples_apart_that_differ() {
    let fast: Vec<f64> = (0..80).map(|at| 1.0 + f64::from(at) / 400.0).collect();
    let slow: Vec<f64> = fast.iter().map(|time| time * 1.1).collect();
    assert!(mann_whitney(&slow, &fast) > 4.0 && mann_whitney(&fast, &slow) < -4.0);
    assert!(mann_whitney(&fast, &fast).abs() < 0.2);
}
