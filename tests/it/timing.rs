//! How long a refused login takes tells nothing.

use std::time::Instant;

use poem::http::Method;
use serde_json::json;

use crate::support::{PASSWORD, Service};

/// How often each kind is tried.
const ROUNDS: usize = 80;

/// A wrong password, a name that is nobody's, and a user who is barred: tried in turns, so that whatever else the machine does
/// falls on all of them alike. With hashes of a few milliseconds a difference of some hundred microseconds shows.
#[tokio::test]
async fn unknown_wrong_and_disabled_take_the_same_time_and_look_the_same() {
    let service = Service::with(|config| {
        config.passwords.memory_kib = 4096;
        config.limits.login_failures_before_lock = 1_000_000;
    })
    .await;
    let admin = service.admin().await;
    service.user("alice", &[]).await;
    let carol = json!({ "username": "carol", "password": PASSWORD });
    let carol = service.post("/v1/users", Some(&admin), carol).await.text_of("id");
    service.json(Method::PATCH, &format!("/v1/users/{carol}"), Some(&admin), json!({ "disabled": true })).await.is(200);

    let kinds = ["alice", "nobody", "carol"];
    let mut times = [const { Vec::new() }; 3];
    let mut answers = Vec::new();
    for round in 0..ROUNDS {
        for at in 0..kinds.len() {
            let kind = (round + at) % kinds.len();
            let began = Instant::now();
            let answer = service.login(kinds[kind], json!({ "password": "wrong" })).await;
            times[kind].push(began.elapsed().as_secs_f64());
            let mut headers = answer.is_problem(401).headers.clone();
            headers.remove("x-request-id");
            answers.push((headers, answer.text));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    for other in [1, 2] {
        let z = mann_whitney(&times[0], &times[other]);
        let gap = median(&times[other]) / median(&times[0]) - 1.0;
        // By chance alone |z| is beyond 4 once in 15,000 times; the gap leaves out what is real and cannot be seen from afar.
        assert!(z.abs() < 4.0 || gap.abs() < 0.05, "{} and {}: z {z:.1}, gap {gap:.3}", kinds[0], kinds[other]);
    }
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
