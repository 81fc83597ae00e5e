//! No secret stays anywhere: a process is driven through everything it does at the most talkative log level, and then
//! its output, its metrics and its database files are searched.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::process::{Served, daypass, json_of};

const FIRST: &str = "canary-admin correct horse battery";
const SECOND: &str = "canary-alice quiet rivers run deep";
const WRONG: &str = "canary-wrong password that is wrong";

struct Session<'a> {
    served: &'a Served,
    secrets: Vec<String>,
    answers: String,
}

impl Session<'_> {
    fn send(&mut self, method: &str, path: &str, authorization: &str, body: &Value) -> String {
        let head =
            format!("{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: {authorization}");
        let answer = self.served.request(&head, &body.to_string());
        if answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5") {
            self.answers.push_str(&answer);
        }
        answer
    }

    fn token(&mut self, method: &str, path: &str, authorization: &str, body: &Value) -> String {
        let answer = self.send(method, path, authorization, body);
        let token = json_of(&answer)["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        self.secrets.push(token.clone());
        token
    }
}

/// Every way a secret comes in or goes out, the failing ones included.
fn drive(session: &mut Session<'_>) {
    let admin = session.token("POST", "/v1/login", "", &json!({ "username": "admin", "password": FIRST }));
    session.send("POST", "/v1/login", "", &json!({ "username": "admin", "password": WRONG }));
    session.send("POST", "/v1/login", "", &json!({ "username": WRONG, "password": 5 }));
    session.send("POST", "/v1/login", "", &json!({ "password": WRONG, "passwort": WRONG }));
    let bearer = format!("Bearer {admin}");
    let made = session.send("POST", "/v1/users", &bearer, &json!({ "username": "alice", "password": SECOND }));
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    let alice = session.token("POST", "/api/login/", "", &json!({ "username": "alice", "password": SECOND }));
    session.send("GET", "/api/protected/", &format!("Token {alice}"), &json!({}));
    session.send("GET", &format!("/v1/check?access_token={alice}"), "", &json!({}));
    session.send("GET", &format!("/v1/tokens/{alice}"), &bearer, &json!({}));
    session.send("GET", &format!("/{alice}"), &alice, &json!({}));
    session.send("GET", "/v1/me", &format!("Bearer {alice} {alice}"), &json!({}));
    session.send("GET", "/v1/me", &format!("Bearer {}x", &alice[..63]), &json!({}));
    let api = session.token("POST", "/v1/tokens", &bearer, &json!({ "name": "ci" }));
    let rotated =
        session.token("POST", "/v1/tokens/current/rotate", &format!("Bearer {api}"), &json!({ "overlap": 60 }));
    session.send("POST", "/v1/tokens/revoke", "", &json!({ "tokens": [rotated, api] }));
    let change = json!({ "current_password": WRONG, "new_password": SECOND });
    session.send("PUT", "/v1/me/password", &bearer, &change);
    session.send("POST", "/v1/maintenance/purge", &bearer, &json!({}));
    let metrics = session.send("GET", "/metrics", "", &json!({}));
    session.answers.push_str(&metrics);
    session.send("POST", "/v1/logout", &bearer, &json!({}));
}

#[test]
fn no_secret_is_in_the_output_the_metrics_or_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daypass(folder.path());
    command.env("DAYPASS_ADMIN_PASSWORD", FIRST).env("DAYPASS_LOG__LEVEL", "trace").env("RUST_BACKTRACE", "1");
    let served = Served::start(folder.path(), &mut command);
    let secrets = [FIRST, SECOND, WRONG].map(str::to_owned).to_vec();
    let mut session = Session { served: &served, secrets, answers: String::new() };
    drive(&mut session);
    let Session { secrets, answers, .. } = session;
    // Without closing it first: what lies in the write-ahead log counts too.
    served.signal("KILL");
    std::fs::write(folder.path().join("refusals"), answers).unwrap();
    assert!(secrets.len() >= 7);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    for expected in ["daypass.db", "daypass.db-wal", "stdout", "stderr", "refusals"] {
        assert!(files.iter().any(|file| file.ends_with(expected)), "{expected} is missing among {files:?}");
    }
    for file in &files {
        search(file, &secrets);
    }
}

/// For each secret as it is, and for the part of a token that only its holder knows.
fn search(file: &Path, secrets: &[String]) {
    let content = std::fs::read(file).unwrap();
    let holds = |text: &str| content.windows(text.len()).any(|window| window == text.as_bytes());
    for secret in secrets {
        assert!(!holds(secret), "{} holds a secret", file.display());
        if secret.starts_with("dp") {
            let random = &secret[26..58];
            assert!(!holds(random) && !holds(&random[..16]), "{} holds the heart of a token", file.display());
        }
    }
}

/// Tells whether a type can be printed for debugging, and so may end in a log line by a slip of the pen: what is derived
/// shows every field.
struct Probe<T>(std::marker::PhantomData<T>);

trait Otherwise {
    const PRINTS: bool = false;
}

impl<T> Otherwise for Probe<T> {}

/// Found before the trait's, for types that have it.
impl<T: std::fmt::Debug> Probe<T> {
    const PRINTS: bool = true;
}

macro_rules! prints_itself {
    ($($name:ty),+) => { [$((stringify!($name), Probe::<$name>::PRINTS)),+] };
}

#[test]
fn what_holds_a_secret_does_not_print_it() {
    use daypass::api::{
        auth::Credential,
        body::Body,
        django::Fields,
        json::IssuedToken,
        v1::{
            session::{LoginRequest, PasswordChange},
            tokens::LeakedTokens,
            users::{CreateUserRequest, UpdateUserRequest},
        },
    };

    for (name, prints) in prints_itself!(
        LoginRequest,
        PasswordChange,
        CreateUserRequest,
        UpdateUserRequest,
        Body<LoginRequest>,
        LeakedTokens,
        IssuedToken,
        Fields<true>,
        Credential<'static>
    ) {
        assert!(!prints, "{name} prints what it holds");
    }
    let [(_, prints)] = prints_itself!(daypass::api::json::TokenInfo);
    assert!(prints, "the test tells one from the other");
}
