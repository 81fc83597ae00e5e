//! What holds of every operation, whoever adds one: the document is walked, and each is asked in every way that it can be asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use daypass::{
    api::openapi,
    token::{
        Kind,
        secret::{self, TokenSecret},
    },
};
use futures_util::stream;
use poem::{Body, http::Method};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    oauth::Client,
    support::{Answer, PASSWORD, Service, seconds},
};

const FORM: &str = "application/x-www-form-urlencoded";
/// All that Daypass itself knows.
const RESERVED: [&str; 4] = ["read", "daypass:admin", "daypass:introspect", "daypass:issue"];
/// An id that nothing has.
const NOBODY: &str = "019ab509-3a80-7c3e-9d12-4f5a6b7c8d9e";

/// One operation of the document.
struct Operation {
    name: String,
    method: Method,
    path: String,
    media_type: Option<String>,
    example: Map<String, Value>,
    fields: BTreeSet<String>,
    parameters: Vec<String>,
    statuses: BTreeSet<String>,
    takes_a_token: bool,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(openapi::json()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let content = operation["requestBody"]["content"].as_object();
            let (media_type, body) = content.and_then(|content| content.iter().next()).unzip();
            let schema = body.and_then(|body| body["schema"]["$ref"].as_str()?.rsplit('/').next());
            let schema = schema.map(|name| &document["components"]["schemas"][name]);
            let example = schema.map(|schema| schema["example"].clone());
            let fields = schema.and_then(|schema| schema["properties"].as_object()).into_iter().flat_map(Map::keys);
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let schemes = operation["security"].as_array().unwrap().iter().filter_map(Value::as_object);
            all.push(Operation {
                name: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                media_type: media_type.cloned(),
                example: example.and_then(|example| example.as_object().cloned()).unwrap_or_default(),
                fields: fields.cloned().collect(),
                parameters: parameters.map(|it| it["name"].as_str().unwrap().to_owned()).collect(),
                statuses: operation["responses"].as_object().unwrap().keys().cloned().collect(),
                takes_a_token: schemes.flat_map(Map::keys).any(|scheme| scheme == "bearerAuth"),
            });
        }
    }
    assert!(all.len() >= 47);
    all
}

impl Operation {
    /// Its path, with this in the place of an id.
    fn at(&self, id: &str) -> String {
        match (self.path.split_once('{'), self.path.split_once('}')) {
            (Some((before, _)), Some((_, after))) => format!("{before}{id}{after}"),
            _ => self.path.clone(),
        }
    }

    fn is_about_tokens(&self) -> bool {
        self.path.starts_with("/v1/tokens/{")
    }

    /// A body that it takes, with what is true of these people in the place of the example's.
    fn body(&self, cast: &Cast) -> String {
        let mut body = self.example.clone();
        let truth = [
            ("username", cast.name.as_str()),
            ("password", PASSWORD),
            ("current_password", PASSWORD),
            ("new_password", "quiet rivers run deeper than most"),
            ("token", cast.victims_token.as_str()),
            ("grant_type", "client_credentials"),
            ("client_id", cast.client.id.as_str()),
            ("client_secret", cast.client.secret.as_str()),
        ];
        for (field, value) in truth {
            if body.contains_key(field) {
                body.insert(field.to_owned(), json!(value));
            }
        }
        match self.name.as_str() {
            "createUser" => body.insert("username".to_owned(), json!(unused_name())),
            "createClient" => body.insert("name".to_owned(), json!(unused_name())),
            _ => None,
        };
        for field in ["user", "refresh_token", "token_type_hint", "refresh", "scopes", "scope"] {
            body.remove(field);
        }
        if self.media_type.as_deref() != Some(FORM) {
            return Value::Object(body).to_string();
        }
        // Whoever brings a token does not authenticate by a client's credentials as well.
        if self.path.starts_with("/oauth/") && !self.takes_a_token {
            body.insert("client_id".to_owned(), json!(cast.client.id));
            body.insert("client_secret".to_owned(), json!(cast.client.secret));
        }
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &body {
            form.append_pair(name, value.as_str().unwrap_or_default());
        }
        form.finish()
    }

    fn headers(&self, token: Option<&str>) -> Vec<(&'static str, String)> {
        let media_type = self.media_type.as_ref().map(|media_type| ("content-type", media_type.clone()));
        token.map(|token| ("authorization", format!("Bearer {token}"))).into_iter().chain(media_type).collect()
    }
}

fn unused_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("user-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Who and what an operation can be about.
struct Cast {
    /// A user that is not the caller.
    name: String,
    user_id: String,
    victims_token: String,
    token_id: String,
    client: Client,
}

impl Cast {
    async fn of(service: &Service) -> Self {
        let name = unused_name();
        let token = service.session(&name, &["read"]).await;
        let checked = service.check(&token).await;
        Self {
            user_id: checked.json()["user"]["id"].as_str().unwrap().to_owned(),
            token_id: checked.text_of("id"),
            victims_token: token,
            client: service.client(&RESERVED).await,
            name,
        }
    }

    /// What the operation's path can name.
    fn id_for(&self, operation: &Operation) -> &str {
        match operation.path.as_str() {
            path if path.starts_with("/v1/users/") => &self.user_id,
            path if path.starts_with("/v1/clients/") => &self.client.id,
            path if path.starts_with("/v1/tokens/{") => &self.token_id,
            _ => NOBODY,
        }
    }
}

impl Service {
    async fn ask(&self, operation: &Operation, id: &str, token: Option<&str>, body: impl Into<Body>) -> Answer {
        self.send(operation.method.clone(), &operation.at(id), &operation.headers(token), body).await
    }

    /// A session of a new user with these scopes.
    async fn somebody(&self, scopes: &[&str]) -> String {
        self.session(&unused_name(), scopes).await
    }
}

/// Every kind of token and what could be taken for one, made anew, with every scope that there is; and whether it is one.
async fn credentials(service: &Service, foreign: &Service) -> Vec<(&'static str, String, bool)> {
    let name = unused_name();
    service.user(&name, &RESERVED).await;
    let login = service.login(&name, json!({ "refresh": true })).await;
    let (session, refresh) = (login.token(), login.text_of("refresh_token"));
    let all = json!({ "scopes": RESERVED });
    let (api, ended) = (service.issue(&session, all.clone()).await.token(), service.issue(&session, all).await);
    service.delete(&format!("/v1/tokens/{}", ended.text_of("id")), Some(&session)).await.is(204);
    let expired = service.issue(&session, json!({ "scopes": RESERVED, "ttl": 1 })).await.token();
    let client = service.client(&RESERVED).await;
    let form = [("grant_type", "client_credentials"), ("scope", &RESERVED.join(" "))];
    let clients = service.token(&client, &form).await.is(200).text_of("access_token");
    service.advance(seconds(1));
    let row = login.text_of("id").parse().unwrap();
    let guessed = TokenSecret::generate("dp", Kind::Session, row).unwrap();
    // A good token that says of itself that it is of another kind, in a way that is well formed.
    let renamed = session.replacen("dps_", "dpk_", 1);
    let renamed = format!("{}{}", &renamed[..58], checksum(&renamed[..58]));
    assert!(secret::parse(&renamed, ["dp"].into_iter(), service.now()).is_some());
    vec![
        ("session", session, true),
        ("api", api, true),
        ("client", clients, true),
        ("refresh", refresh, false),
        ("revoked", ended.token(), false),
        ("expired", expired, false),
        ("a client's secret", client.secret, false),
        ("another service's", foreign.somebody(&RESERVED).await, false),
        ("of a right id", guessed.expose().to_owned(), false),
        ("of another kind", renamed, false),
    ]
}

/// The checksum of what a token begins with. It is written as an id is, of which the last digits are taken.
fn checksum(text: &str) -> String {
    let number = crc32fast::hash(text.as_bytes());
    let of_that_id = TokenSecret::generate("dp", Kind::Api, Uuid::from_u128(number.into())).unwrap();
    of_that_id.expose()[20..26].to_owned()
}

/// Whatever it may do, a token does only where its kind belongs, and what is none opens nothing.
#[tokio::test]
async fn no_kind_of_token_opens_what_is_not_for_it() {
    let service = Service::start().await;
    let foreign = Service::start().await;
    let mut opened: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let guarded: Vec<_> = operations().into_iter().filter(|operation| operation.takes_a_token).collect();
    assert!(guarded.len() >= 33, "{}", guarded.len());
    for operation in &guarded {
        let cast = Cast::of(&service).await;
        for (kind, token, is_one) in credentials(&service, &foreign).await {
            let id = if operation.is_about_tokens() { "current" } else { cast.id_for(operation) };
            let answer = service.ask(operation, id, Some(&token), operation.body(&cast)).await;
            if is_one && answer.status != 401 && answer.status != 403 {
                opened.entry(kind).or_default().insert(operation.name.clone());
            }
            assert!(is_one || answer.status == 401, "{kind} at {}: {answer:?}", operation.name);
        }
    }
    let but = |left_out: &[&str]| -> BTreeSet<String> {
        let names = guarded.iter().map(|operation| operation.name.clone());
        names.filter(|name| !left_out.contains(&name.as_str())).collect()
    };
    assert_eq!(opened["session"], but(&[]));
    assert_eq!(opened["api"], but(&["changePassword"]), "a token of a program changes nobody's password");
    // What is about a user is not for who is none.
    assert_eq!(opened["client"], but(&["changePassword", "issueToken"]));

    // A token where one is asked for by name: only a refresh token buys another.
    for (kind, token, _) in credentials(&service, &foreign).await {
        let answer = service.refresh(&token).await;
        assert_eq!(answer.status == 200, kind == "refresh", "{kind}: {answer:?}");
        assert!(answer.status == 200 || answer.member("error") == "invalid_grant", "{kind}: {answer:?}");
    }
}

/// RFC 9110 §15.5.6: what no operation answers is 405, and says what would be answered. A browser that asks beforehand whether a
/// page from elsewhere may do something is told nothing that lets it.
#[tokio::test]
async fn another_method_is_405_on_every_route_and_names_those_that_are_not() {
    let service = Service::start().await;
    let mut routes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for operation in operations() {
        routes.entry(operation.at(NOBODY)).or_default().insert(operation.method.to_string());
    }
    for page in ["/", "/docs", "/docs/swagger-ui.js", "/console", "/openapi.json", "/openapi.yaml", "/site.css"] {
        routes.entry(page.to_owned()).or_default().insert("GET".to_owned());
    }
    assert!(routes.len() >= 44);
    let from_elsewhere = [
        ("origin", "https://elsewhere.example".to_owned()),
        ("access-control-request-method", "POST".to_owned()),
        ("access-control-request-headers", "authorization".to_owned()),
    ];
    for (path, mut methods) in routes {
        // Every method is a check.
        if path == "/v1/check" {
            continue;
        }
        if methods.contains("GET") {
            methods.insert("HEAD".to_owned());
        }
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"] {
            let answer = service.send(method.parse().unwrap(), &path, &from_elsewhere, "").await;
            assert_eq!(answer.status == 405, !methods.contains(method), "{method} {path}: {answer:?}");
            if answer.status == 405 {
                let named: BTreeSet<_> = answer.header("allow").split(", ").map(str::to_owned).collect();
                assert_eq!(named, methods, "{method} {path}");
            }
            let allows = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
            assert!(allows.is_none(), "{method} {path}: {answer:?}");
        }
    }
}

/// A request but for its method: path, headers and body.
type Request = (String, Vec<(&'static str, String)>, Body);

/// An operation, a body that it takes, what that is about, and two who ask: one who may do all, and one who may do nothing.
struct Asked<'a> {
    operation: &'a Operation,
    good: String,
    id: String,
    cast: Cast,
    admin: String,
    nobody: String,
}

impl<'a> Asked<'a> {
    async fn of(operation: &'a Operation, service: &Service) -> Self {
        let cast = Cast::of(service).await;
        let run = operation.name == "getMaintenanceRun";
        Self {
            operation,
            good: operation.body(&cast),
            id: if run { a_run(service).await } else { cast.id_for(operation).to_owned() },
            cast,
            admin: service.somebody(&RESERVED).await,
            nobody: service.somebody(&[]).await,
        }
    }

    /// By the one who may do all, about what it is about.
    fn with(&self, body: impl Into<Body>) -> Request {
        (self.operation.at(&self.id), self.operation.headers(Some(&self.admin)), body.into())
    }

    /// What each operation can be asked wrongly.
    fn as_any(&self) -> Vec<Request> {
        let Self { operation, good, id, admin, nobody, .. } = self;
        let nowhere = if operation.path.starts_with("/v1/clients/") { "0".repeat(22) } else { NOBODY.to_owned() };
        let ask =
            |token: Option<&str>, id: &str| (operation.at(id), operation.headers(token), Body::from(good.clone()));
        let at = operation.at(id);
        let headers = operation.headers(Some(admin));
        let twice = [headers.clone(), headers].concat();
        let other_type = [("authorization", format!("Bearer {admin}")), ("content-type", "text/plain".to_owned())];
        let never = stream::pending::<Result<Bytes, std::io::Error>>();
        vec![
            ask(None, id),
            ask(Some("dps_0"), id),
            ask(Some(nobody), id),
            ask(Some(admin), &nowhere),
            ask(Some(admin), "x"),
            self.with("{&&=%zz"),
            self.with(r#"{"nonsense":1}"#),
            self.with("x".repeat(64 * 1024 + 1)),
            (at.clone(), twice, good.clone().into()),
            (at, other_type.to_vec(), good.clone().into()),
            self.with(Body::from_bytes_stream(never)),
        ]
    }

    /// What only some can be asked, by their parameters, fields and paths.
    fn as_some(&self) -> Vec<Request> {
        let Self { operation, good, cast, admin, nobody, .. } = self;
        let (path, at) = (operation.path.as_str(), operation.at(&self.id));
        let mut all = Vec::new();
        for (parameter, token) in [("limit=0", admin), ("limit=x", admin), ("kinds=x", admin), ("scope=x", nobody)] {
            if operation.parameters.iter().any(|name| parameter.starts_with(name.as_str())) {
                all.push((format!("{at}?{parameter}"), operation.headers(Some(token)), Body::empty()));
            }
        }
        if operation.fields.contains("scopes") {
            let mut more: Value = serde_json::from_str(good).unwrap();
            more["scopes"] = json!(["nobodys"]);
            all.push(self.with(more.to_string()));
        }
        if path.starts_with("/oauth/") {
            let wrong = good.replace(&cast.client.secret, "wrong");
            all.push((at.clone(), operation.headers(None), wrong.into()));
        }
        if path.contains("login") || path.contains("auth/") {
            let wrong = if operation.media_type.as_deref() == Some(FORM) {
                format!("username={}&password=wrong", cast.name)
            } else {
                json!({ "username": cast.name, "password": "wrong" }).to_string()
            };
            all.push((at, operation.headers(None), wrong.into()));
        }
        // Nobody but its own holder renews or rotates a session.
        if ["renewToken", "rotateToken"].contains(&operation.name.as_str()) {
            all.push(self.with(good.clone()));
            all.push((operation.at("current"), operation.headers(Some(admin)), good.clone().into()));
        }
        all
    }
}

/// What each operation answers, asked in every way in which it answers something else.
async fn in_every_way(operations: &[Operation]) -> Vec<(String, Answer)> {
    let service = Service::with(|config| config.limits.request_timeout = Duration::from_millis(50)).await;
    let mut answers = Vec::new();
    for operation in operations {
        let asked = Asked::of(operation, &service).await;
        // The right one comes last, for it may end the token.
        let right = asked.with(asked.good.clone());
        for (path, headers, body) in asked.as_any().into_iter().chain(asked.as_some()).chain([right]) {
            let answer = service.send(operation.method.clone(), &path, &headers, body).await;
            answers.push((operation.name.clone(), answer));
        }
    }
    for path in ["/nowhere", "/v1/nowhere", "/oauth/nowhere", "/v1/tokens/a/b/c"] {
        answers.push(("nothing".to_owned(), service.get(path, None).await));
    }
    answers
}

/// What those answer that are limited, asked once more than they may be.
async fn too_often(operations: &[Operation]) -> Vec<(String, Answer)> {
    let service = Service::with(|config| config.limits.login_per_minute_per_ip = 1).await;
    let cast = Cast::of(&service).await;
    let mut answers = Vec::new();
    for operation in operations.iter().filter(|operation| operation.statuses.contains("429")) {
        let token = operation.takes_a_token.then_some(cast.victims_token.as_str());
        let own = operation.body(&cast);
        let body = if operation.path == "/oauth/revoke" { "token=x".to_owned() } else { own };
        for _ in 0..2 {
            let answer = service.ask(operation, NOBODY, token, body.clone()).await;
            answers.push((operation.name.clone(), answer));
        }
    }
    answers
}

/// What each operation answers once the database is gone.
async fn without_a_database(operations: &[Operation]) -> Vec<(String, Answer)> {
    let service = Service::start().await;
    let (cast, admin) = (Cast::of(&service).await, service.somebody(&RESERVED).await);
    service.app.db.close().await;
    service.advance(seconds(2));
    let mut answers = Vec::new();
    for operation in operations {
        let id = cast.id_for(operation);
        answers.push((operation.name.clone(), service.ask(operation, id, Some(&admin), operation.body(&cast)).await));
    }
    answers
}

/// What takes a user who is deleted while they ask, several failures, a limit that is set, or another issuer to be answered.
const RARE: [&str; 12] = [
    "logoutAll 404",
    "whoami 404",
    "changePassword 404",
    "changePassword 429",
    "issueToken 404",
    "requestToken 429",
    "getAuthorizationServerMetadata 404",
    "getAuthorizationServerMetadata 503",
    "djangoApiLogin 403",
    "djangoObtainAuthToken 403",
    "djangoCustomLogin 403",
    "knoxLogin 403",
];

/// A run that there is a record of.
async fn a_run(service: &Service) -> String {
    let admin = service.somebody(&RESERVED).await;
    service.post("/v1/maintenance/purge", Some(&admin), json!({})).await.is(202).text_of("id")
}

/// RFC 6749 §5.1, RFC 9111 §5.2.2.5: on every route and for every status, but for what says itself how long it may be kept. Nor
/// does anything tell what answers, or let pages from elsewhere read it.
#[tokio::test]
async fn no_answer_of_any_status_is_for_a_cache_or_tells_what_answers() {
    daypass::telemetry::count();
    let documented = operations();
    let mut answers = in_every_way(&documented).await;
    answers.extend(too_often(&documented).await);
    answers.extend(without_a_database(&documented).await);
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, answer) in &answers {
        seen.entry(name).or_default().insert(answer.status.as_u16().to_string());
        let expected = match (name.as_str(), answer.status.as_u16()) {
            ("checkToken" | "checkTokenHead" | "checkTokenPost", 200) => "private, max-age=0",
            ("getAuthorizationServerMetadata", 200) => "public, max-age=300",
            _ => "no-store",
        };
        assert_eq!(answer.header("cache-control"), expected, "{name}: {answer:?}");
        for header in ["server", "x-powered-by", "via", "set-cookie", "access-control-allow-origin"] {
            assert_eq!(answer.header(header), "", "{name}: {answer:?}");
        }
        assert!(!answer.text.contains("select ") && !answer.text.contains("SELECT ") && !answer.text.contains("sqlx"));
        assert!(answer.status != 500, "{name}: {answer:?}");
    }
    // Every status that the document names was seen, but for those that take more than a request to bring about.
    let unseen: Vec<_> = documented
        .iter()
        .flat_map(|operation| {
            let of = &seen[operation.name.as_str()];
            operation
                .statuses
                .iter()
                .filter(|status| !of.contains(*status))
                .map(|it| format!("{} {it}", operation.name))
        })
        .filter(|it| !it.ends_with("409") && !it.ends_with("500"))
        .collect();
    assert_eq!(unseen, RARE);
}

/// RFC 9110 leaves it open; what is not understood is refused, and by its name: nobody sets what is not theirs to set.
#[tokio::test]
async fn no_operation_takes_a_field_that_is_not_in_its_schema() {
    let service = Service::start().await;
    let own = operations();
    let json =
        own.iter().filter(|it| it.media_type.as_deref() == Some("application/json") && it.path.starts_with("/v1/"));
    let mut tried = 0;
    for operation in json {
        let (cast, admin) = (Cast::of(&service).await, service.somebody(&RESERVED).await);
        for field in ["id", "user_id", "kind", "expires_at", "revoked_at", "created_at", "epoch", "digest", "__proto__"]
        {
            if operation.fields.contains(field) {
                continue;
            }
            let mut body: Value = serde_json::from_str(&operation.body(&cast)).unwrap();
            body.as_object_mut().unwrap().insert(field.to_owned(), json!(NOBODY));
            let id = if operation.is_about_tokens() { "current" } else { cast.id_for(operation) };
            service.ask(operation, id, Some(&admin), body.to_string()).await.is_about(422, field);
            tried += 1;
        }
    }
    assert!(tried > 90, "{tried}");
}

/// Whoever names what is somebody else's is told what they are told of what there is not: that it is not there, or that all of it
/// is for others.
#[tokio::test]
async fn nobody_reaches_what_is_somebody_elses_by_its_id() {
    let service = Service::start().await;
    let admin = service.admin().await;
    service.user("alice", &["read", "daypass:issue", "daypass:introspect"]).await;
    service.user("bob", &["read"]).await;
    let alice = service.login("alice", json!({})).await.token();
    let api = json!({ "scopes": ["read", "daypass:issue", "daypass:introspect"] });
    let api = service.issue(&alice, api).await.token();
    let client = service.client(&["read", "daypass:introspect"]).await;
    let form = [("grant_type", "client_credentials"), ("scope", "daypass:introspect")];
    let client = service.token(&client, &form).await.text_of("access_token");
    let bob = service.login("bob", json!({ "refresh": true })).await;
    let his = service.issue(&bob.token(), json!({ "name": "his" })).await;
    let run = a_run(&service).await;
    let (user, other) = (bob.json()["user"]["id"].as_str().unwrap().to_owned(), service.client(&["read"]).await);
    let listed = service.get("/v1/tokens?user=bob", Some(&admin)).await.member("items");
    let ids: Vec<String> = listed.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 3, "a session, a refresh token, and one of a program");
    let seen_by_admin = async || {
        let mut all = Vec::new();
        for path in ["/v1/tokens?user=bob", &format!("/v1/users/{user}"), &format!("/v1/clients/{}", other.id)] {
            all.push(service.get(path, Some(&admin)).await.is(200).text.clone());
        }
        all
    };
    let before = seen_by_admin().await;
    let ids: Vec<&str> = ids.iter().map(String::as_str).chain([user.as_str(), &other.id, &run]).collect();
    let mut tried = 0;
    for operation in operations().iter().filter(|operation| operation.path.contains('{')) {
        for caller in [&alice, &api, &client] {
            let body = if operation.media_type.is_some() { "{}" } else { "" };
            let nowhere = service.ask(operation, NOBODY, Some(caller), body).await;
            for id in &ids {
                let answer = service.ask(operation, id, Some(caller), body).await;
                assert!([400, 403, 404].contains(&answer.status.as_u16()), "{}: {answer:?}", operation.name);
                // An id of another form may be refused for its form.
                if answer.status != 400 {
                    let told = (answer.status, answer.text.as_str(), answer.header("www-authenticate"));
                    assert_eq!(told, (nowhere.status, nowhere.text.as_str(), nowhere.header("www-authenticate")));
                }
                tried += 1;
            }
        }
    }
    assert!(tried >= 12 * 3 * 6, "{tried}");
    for (path, status) in [
        (format!("/v1/audit?actor={user}"), 403),
        (format!("/v1/audit?token_id={}", his.text_of("id")), 403),
        ("/v1/users".to_owned(), 403),
        ("/v1/clients".to_owned(), 403),
        ("/v1/tokens?user=bob".to_owned(), 200),
        (format!("/v1/tokens?user={user}"), 200),
    ] {
        let answer = service.get(&path, Some(&alice)).await;
        assert!(!answer.is(status).text.contains("\"his\""), "{path}: {answer:?}");
    }
    assert_eq!(seen_by_admin().await, before, "nothing of his has changed");
    for token in [bob.token(), his.token()] {
        service.check(&token).await.is(200);
    }
    service.refresh(&bob.text_of("refresh_token")).await.is(200);
}
