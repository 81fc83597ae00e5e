//! No secret stays anywhere: a process is driven through everything it does at the most talkative log level, and then
//! its output, its metrics and its database files are searched.

use std::{path::Path, process::Command};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::support::{
    database::Database,
    process::{Served, daypass, json_of, run},
};

const FIRST: &str = "canary-admin correct horse battery";
const SECOND: &str = "canary-alice quiet rivers run deep";
const THIRD: &str = "canary-carol seven slow brass bells";
const FOURTH: &str = "canary-carol eleven quick tin drums";
const WEAK: &str = "canary-1";
/// A password in the place of the name, which it could be.
const MISTYPED: &str = "canary-mistyped.1";
const WRONG: &str = "canary-wrong password that is wrong";

struct Session<'a> {
    served: &'a Served,
    folder: &'a Path,
    database_url: &'a str,
    secrets: Vec<String>,
    answers: String,
}

impl Session<'_> {
    fn send(&mut self, method: &str, path: &str, authorization: &str, body: &Value) -> String {
        let head =
            format!("{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: {authorization}");
        self.noted(self.served.request(&head, &body.to_string()))
    }

    /// Sends a form.
    fn form(&mut self, path: &str, form: &str) -> String {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded");
        self.noted(self.served.request(&head, form))
    }

    /// Sends nothing but HTTP Basic.
    fn basic(&mut self, path: &str, password: &str) -> String {
        let basic = BASE64_STANDARD.encode(format!("alice:{password}"));
        self.noted(self.served.request(&format!("POST {path} HTTP/1.1\r\nAuthorization: Basic {basic}"), ""))
    }

    fn noted(&mut self, answer: String) -> String {
        if answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5") {
            self.answers.push_str(&answer);
        }
        answer
    }

    /// Runs a command beside the service; what it prints on standard error counts, and on standard output but for a token
    /// or a client's secret that was asked for.
    fn command(&mut self, arguments: &str, input: &str) -> String {
        let mut command = daypass(self.folder);
        command.env("DAYPASS_LOG__LEVEL", "trace").env("RUST_BACKTRACE", "1");
        command.env("DAYPASS_DATABASE_URL", self.database_url);
        let output = run(command.args(arguments.split(' ')), input);
        self.answers.push_str(&String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        if !["token issue", "client add", "client rotate"].iter().any(|shown| arguments.starts_with(shown)) {
            self.answers.push_str(&printed);
        }
        printed
    }

    /// Notes the token in an answer as a secret.
    fn secret_of(&mut self, answer: &str) -> String {
        let token = json_of(answer)["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        self.secrets.push(token.clone());
        token
    }

    /// Notes the client's secret in an answer as one.
    fn client_secret_of(&mut self, answer: &str) -> String {
        let secret = json_of(answer)["client_secret"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        self.secrets.push(secret.clone());
        secret
    }

    fn token(&mut self, method: &str, path: &str, authorization: &str, body: &Value) -> String {
        let answer = self.send(method, path, authorization, body);
        self.secret_of(&answer)
    }
}

/// Every way a secret comes in or goes out, the failing ones included.
fn drive(session: &mut Session<'_>) {
    let admin = session.token("POST", "/v1/login", "", &json!({ "username": "admin", "password": FIRST }));
    session.send("POST", "/v1/login", "", &json!({ "username": "admin", "password": WRONG }));
    session.send("POST", "/v1/login", "", &json!({ "username": WRONG, "password": 5 }));
    session.send("POST", "/v1/login", "", &json!({ "password": WRONG, "passwort": WRONG }));
    session.send("POST", "/v1/login", "", &json!({ "username": MISTYPED, "password": "x" }));
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
    other_doors(session);
    clients(session, &bearer);
    oauth(session, &bearer);
    command_line(session);
    session.send("POST", "/v1/maintenance/purge", &bearer, &json!({}));
    let metrics = session.send("GET", "/metrics", "", &json!({}));
    session.answers.push_str(&metrics);
    let audit = session.send("GET", "/v1/audit?limit=200", &bearer, &json!({}));
    assert!(audit.contains("token_rotated") && audit.contains("user_created"), "{audit}");
    session.answers.push_str(&audit);
    session.command("audit --json", "");
    session.send("POST", "/v1/logout", &bearer, &json!({}));
}

/// Clients' secrets, over HTTP and on the command line.
fn clients(session: &mut Session<'_>, bearer: &str) {
    let made = session.send("POST", "/v1/clients", bearer, &json!({ "name": "billing" }));
    let first = session.client_secret_of(&made);
    let path = format!("/v1/clients/{}", json_of(&made)["client_id"].as_str().unwrap());
    for body in [json!({ "name": "x", "client_secret": first }), json!({ "name": "x", "grants": [first] })] {
        session.send("POST", "/v1/clients", bearer, &body);
    }
    session.send("PATCH", &path, bearer, &json!({ "client_secret": first }));
    session.send("GET", &format!("/v1/clients/{first}"), bearer, &json!({}));
    let rotated = session.send("POST", &format!("{path}/rotate-secret"), bearer, &json!({ "overlap": 60 }));
    session.client_secret_of(&rotated);
    let shown = session.send("GET", "/v1/clients", bearer, &json!({}));
    session.answers.push_str(&shown);
    let added = session.command("client add reports --json", "");
    let added: Value = serde_json::from_str(&added).unwrap();
    session.secrets.push(added["client_secret"].as_str().unwrap().to_owned());
    let id = added["client_id"].as_str().unwrap();
    let rotated = session.command(&format!("client rotate {id} --overlap 1h"), "");
    session.secrets.push(rotated.trim_end().rsplit_once('=').unwrap().1.to_owned());
    session.command("client list", "");
    session.command(&format!("client delete {id}"), "");
}

/// The OAuth doors, by Basic and in the body, with what is right and what is wrong.
fn oauth(session: &mut Session<'_>, bearer: &str) {
    let wanted = json!({
        "name": "shop",
        "scopes": ["daypass:introspect"],
        "grants": ["client_credentials", "refresh_token", "password"],
    });
    let made = session.send("POST", "/v1/clients", bearer, &wanted);
    let secret = session.client_secret_of(&made);
    let id = json_of(&made)["client_id"].as_str().unwrap().to_owned();
    let mut ask = |path: &str, credentials: Option<&str>, form: &str| {
        let basic = credentials.map_or(String::new(), |secret| BASE64_STANDARD.encode(format!("{id}:{secret}")));
        let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded");
        let answer = session.served.request(&format!("{head}\r\nAuthorization: Basic {basic}"), form);
        let json: Value =
            answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok()).unwrap_or_default();
        for name in ["access_token", "refresh_token"] {
            session.secrets.extend(json[name].as_str().map(str::to_owned));
        }
        session.noted(answer);
        json
    };
    let password = format!("grant_type=password&username=alice&password={}", SECOND.replace(' ', "+"));
    let granted = ask("/oauth/token", Some(&secret), &password);
    let (access, refresh) = (granted["access_token"].as_str().unwrap(), granted["refresh_token"].as_str().unwrap());
    let in_body = format!("client_id={id}&client_secret={secret}");
    for (credentials, form) in [
        (Some(secret.as_str()), "grant_type=client_credentials".to_owned()),
        (Some(secret.as_str()), format!("grant_type=client_credentials&{in_body}")),
        (Some(&secret[1..]), "grant_type=client_credentials".to_owned()),
        (None, format!("grant_type=client_credentials&{in_body}&{in_body}")),
        (Some(secret.as_str()), format!("grant_type={refresh}&scope={access}")),
        (Some(secret.as_str()), format!("{password}&password={}", WRONG.replace(' ', "+"))),
        (Some(secret.as_str()), format!("grant_type=password&username=alice&password={}", WRONG.replace(' ', "+"))),
        (Some(secret.as_str()), format!("grant_type=refresh_token&refresh_token={refresh}&scope={refresh}")),
        (Some(secret.as_str()), format!("grant_type=refresh_token&refresh_token={refresh}")),
        (Some(secret.as_str()), format!("grant_type=refresh_token&refresh_token={refresh}x")),
        (None, format!("grant_type=refresh_token&refresh_token={refresh}")),
    ] {
        ask("/oauth/token", credentials, &form);
    }
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        for token in [access, refresh] {
            ask(&format!("{path}?token={token}"), Some(&secret), &format!("token={token}x&token_type_hint={token}"));
            ask(path, None, &format!("token={token}"));
            ask(path, Some(&secret), &format!("token={token}&token={token}"));
            ask(path, Some(&secret), &format!("token={token}"));
        }
    }
}

/// HTTP Basic, forms, and the doors for clients of Django.
fn other_doors(session: &mut Session<'_>) {
    for path in ["/v1/login", "/api/auth/login/"] {
        let answer = session.basic(path, SECOND);
        session.secret_of(&answer);
        session.basic(path, WRONG);
        session.basic(path, &WRONG.repeat(50));
    }
    let form = |password: &str| format!("username=alice&password={}", password.replace(' ', "+"));
    for path in ["/v1/login", "/api/login/", "/api-token-auth/", "/custom_login/", "/api/auth/login/"] {
        let answer = session.form(path, &form(SECOND));
        session.secret_of(&answer);
        session.form(path, &form(WRONG));
        session.form(path, &form(&WRONG.repeat(50)));
        session.form(path, &format!("{}&password=%zz", form(WRONG)));
        session.form(path, &format!("{}&username=x", form(WRONG)));
        session.send("POST", path, "", &json!({ "username": [WRONG], "password": [WRONG] }));
    }
    let answer = session.form("/api/auth/login/", &form(SECOND));
    let knox = session.secret_of(&answer);
    session.send("GET", "/protected_view/", &knox, &json!({}));
    session.send("GET", "/protected_view/", &format!("{knox} {knox}"), &json!({}));
    session.send("POST", "/api/auth/logoutall/", &format!("Token {knox}"), &json!({}));
    session.send("POST", "/api/auth/logout/", &format!("Token {knox}"), &json!({}));
}

fn command_line(session: &mut Session<'_>) {
    assert!(session.command("user add carol --scope read --password-stdin", THIRD).contains("carol"));
    session.command("user add carol --password-stdin", THIRD);
    session.command("user add dave --password-stdin", WEAK);
    assert!(session.command("user passwd carol --password-stdin", FOURTH).contains("carol"));
    session.command("user passwd carol --password-stdin", WEAK);
    let token = session.command("token issue --user carol --name ci", "").trim_end().to_owned();
    session.secrets.push(token.clone());
    assert!(session.command("token check", &token).contains("carol"));
    session.command("token check --json", &token);
    session.command("token check", &format!("{token}x"));
    session.command("token list --json", "");
    session.command("user disable carol", "");
    session.command("token check", &token);
}

/// On a server the database is what its own tool makes a copy of.
#[tokio::test]
async fn no_secret_is_in_the_output_the_metrics_or_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let on_server = std::env::var_os("DAYPASS_TEST_DATABASE_URL").is_some();
    let database = Database::create().await;
    let database_url = if on_server { database.url() } else { "sqlite://daypass.db" };
    let mut command = daypass(folder.path());
    command
        .env("DAYPASS_DATABASE_URL", database_url)
        .env("DAYPASS_LIMITS__LOGIN_PER_MINUTE_PER_IP", "0")
        .env("DAYPASS_LIMITS__LOGIN_FAILURES_BEFORE_LOCK", "1000");
    command.env("DAYPASS_OAUTH__PASSWORD_GRANT", "true");
    command.env("DAYPASS_ADMIN_PASSWORD", FIRST).env("DAYPASS_LOG__LEVEL", "trace").env("RUST_BACKTRACE", "1");
    let served = Served::start(folder.path(), &mut command);
    let secrets = [FIRST, SECOND, THIRD, FOURTH, WEAK, WRONG, MISTYPED].map(str::to_owned).to_vec();
    let mut session = Session { served: &served, folder: folder.path(), database_url, secrets, answers: String::new() };
    drive(&mut session);
    let Session { secrets, answers, .. } = session;
    // What failed is written behind.
    served.until(|| served.stderr().contains("\"event\":\"login_failed\"").then_some(()));
    // Without closing it first: what lies in the write-ahead log counts too.
    served.signal("KILL");
    std::fs::write(folder.path().join("refusals"), answers).unwrap();
    assert!(secrets.len() >= 23, "{}", secrets.len());
    if on_server {
        let dump = dump(database_url);
        assert!(dump.windows(5).any(|window| window == b"carol"), "the copy has the users");
        std::fs::write(folder.path().join("dump"), dump).unwrap();
    }
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let stored: &[&str] = if on_server { &["dump"] } else { &["daypass.db", "daypass.db-wal"] };
    for expected in stored.iter().chain(&["stdout", "stderr", "refusals"]) {
        assert!(files.iter().any(|file| file.ends_with(expected)), "{expected} is missing among {files:?}");
    }
    for file in &files {
        search(file, &secrets);
    }
}

/// A copy of a server's database, as its own tool makes it.
fn dump(url: &str) -> Vec<u8> {
    let url = url::Url::parse(url).unwrap();
    let mut tool = if url.scheme() == "postgres" {
        let mut tool = Command::new("sh");
        tool.args([
            "-c",
            "$(command -v pg_dump || ls /usr/lib/postgresql/*/bin/pg_dump | tail -n 1) \"$0\"",
            url.as_str(),
        ]);
        tool
    } else {
        let mut tool = Command::new("mariadb-dump");
        tool.args(["--no-defaults", "--protocol=tcp", "--user=root", "--host=127.0.0.1", "--hex-blob"]);
        tool.arg(format!("--port={}", url.port().unwrap())).arg(&url.path()[1..]);
        tool
    };
    let output = tool.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// For each secret as it is, or as its bytes are shown, and for the part of a token that only its holder knows.
fn search(file: &Path, secrets: &[String]) {
    let content = std::fs::read(file).unwrap();
    let holds = |text: &str| content.windows(text.len()).any(|window| window == text.as_bytes());
    for secret in secrets {
        let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        for form in [secret, &hex, &hex.to_uppercase(), &BASE64_STANDARD.encode(secret)] {
            assert!(!holds(form), "{} holds a secret", file.display());
        }
        if secret.starts_with("dp") && secret.len() == 64 {
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
        oauth::{
            form::Form,
            introspect::IntrospectionRequest,
            revoke::RevocationRequest,
            token::{TokenRequest, TokenResponse},
        },
        v1::{
            clients::IssuedClient,
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
        IssuedClient,
        Fields<true>,
        Form<TokenRequest>,
        TokenRequest,
        TokenResponse,
        IntrospectionRequest,
        RevocationRequest,
        Credential<'static>
    ) {
        assert!(!prints, "{name} prints what it holds");
    }
    let [(_, prints)] = prints_itself!(daypass::api::json::TokenInfo);
    assert!(prints, "the test tells one from the other");
}

/// What must not be guessed comes from the operating system, by the one crate that asks it, in few places.
#[test]
fn what_is_secret_is_drawn_in_few_places() {
    let mut drawing = Vec::new();
    let mut folders = vec!["src".to_owned(), "entity/src".to_owned(), "migration/src".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path().to_str().unwrap().to_owned();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                for other in ["rand::", "fastrand", "OsRng", "thread_rng", "Uuid::new_v4", "RandomState"] {
                    let found = source.replace("getrandom::", "").contains(other);
                    assert!(!found, "{path} draws by {other}");
                }
                if source.contains("getrandom::fill") {
                    drawing.push(path);
                }
            }
        }
    }
    drawing.sort();
    assert_eq!(drawing, ["src/account/password/argon2id.rs", "src/account/password/mod.rs", "src/token/secret.rs"]);
}
