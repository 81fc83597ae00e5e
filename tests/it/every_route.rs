//! What holds of every operation, whoever adds one: the document is walked, and each is asked in every way that it can be asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use daypass::{
    api::openapi,
    client,
    token::{Kind, secret::TokenSecret},
};
use entity::{Grant, Scopes};
use futures_util::stream;
use poem::{Body, http::Method};
use serde_json::{Map, Value, json};

use crate::support::{Answer, PASSWORD, Service, seconds};

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
            ("client_id", cast.client.0.as_str()),
            ("client_secret", cast.client.1.as_str()),
        ];
        for (field, value) in truth {
            if body.contains_key(field) {
                body.insert(field.to_owned(), json!(value));
            }
        }
        if ["createUser", "createClient"].contains(&self.name.as_str()) {
            body.insert(if self.name == "createUser" { "username" } else { "name" }.to_owned(), json!(unused_name()));
        }
        for fields in ["user", "refresh_token", "token_type_hint", "refresh"] {
            body.remove(fields);
        }
        for scopes in ["scopes", "scope"] {
            body.remove(scopes);
        }
        if self.media_type.as_deref() != Some(FORM) {
            return Value::Object(body).to_string();
        }
        // Whoever brings a token does not authenticate by a client's credentials as well.
        if self.path.starts_with("/oauth/") && !self.takes_a_token {
            body.insert("client_id".to_owned(), json!(cast.client.0));
            body.insert("client_secret".to_owned(), json!(cast.client.1));
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
    /// Id and secret.
    client: (String, String),
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
            client: service.a_client(&RESERVED).await,
            name,
        }
    }

    /// What the operation's path can name.
    fn id_for(&self, operation: &Operation) -> &str {
        match operation.path.as_str() {
            path if path.starts_with("/v1/users/") => &self.user_id,
            path if path.starts_with("/v1/clients/") => &self.client.0,
            path if path.starts_with("/v1/tokens/{") => &self.token_id,
            _ => NOBODY,
        }
    }
}

impl Service {
    async fn a_client(&self, scopes: &[&str]) -> (String, String) {
        let grants = [Grant::ClientCredentials, Grant::RefreshToken].into_iter().collect();
        let new = client::New { name: "a client".to_owned(), scopes: Scopes::collect(scopes).unwrap(), grants };
        let made = client::create(&self.app, new, &daypass::audit::Actor::system(), self.now()).await.unwrap();
        (made.client.client_id, made.secret.expose().to_owned())
    }

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
    let (id, secret) = service.a_client(&RESERVED).await;
    let form = format!(
        "grant_type=client_credentials&client_id={id}&client_secret={secret}&scope={}",
        RESERVED.join("+").replace(':', "%3A")
    );
    let client = service.form("/oauth/token", &form).await.is(200).text_of("access_token");
    service.advance(seconds(1));
    let row = login.text_of("id").parse().unwrap();
    let guessed = TokenSecret::generate("dp", Kind::Session, row).unwrap();
    // A good token that says of itself that it is of another kind, in a way that is well formed.
    let renamed = session.replacen("dps_", "dpk_", 1);
    let renamed = format!("{}{}", &renamed[..58], checksum(&renamed[..58]));
    vec![
        ("session", session, true),
        ("api", api, true),
        ("client", client, true),
        ("refresh", refresh, false),
        ("revoked", ended.token(), false),
        ("expired", expired, false),
        ("a client's secret", secret, false),
        ("another service's", foreign.somebody(&RESERVED).await, false),
        ("of a right id", guessed.expose().to_owned(), false),
        ("of another kind", renamed, false),
    ]
}

fn checksum(text: &str) -> String {
    let (mut rest, mut digits) = (crc32fast::hash(text.as_bytes()), Vec::new());
    for _ in 0..6 {
        digits.push(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(rest % 62) as usize]);
        rest /= 62;
    }
    digits.reverse();
    String::from_utf8(digits).unwrap()
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
        let form = format!("grant_type=refresh_token&refresh_token={token}");
        let answer = service.form("/oauth/token", &form).await;
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

/// Asks each operation in every way in which it answers something else.
async fn all_answers() -> Vec<(String, Answer)> {
    daypass::telemetry::count();
    let service = Service::with(|config| config.limits.request_timeout = std::time::Duration::from_millis(50)).await;
    let mut answers = Vec::new();
    let operations = operations();
    for operation in &operations {
        let (cast, admin, nobody) =
            (Cast::of(&service).await, service.somebody(&RESERVED).await, service.somebody(&[]).await);
        let (id, good) = (cast.id_for(operation).to_owned(), operation.body(&cast));
        let nowhere = if operation.path.starts_with("/v1/clients/") { "0".repeat(22) } else { NOBODY.to_owned() };
        let id = if operation.name == "getMaintenanceRun" { a_run(&service).await } else { id };
        for (token, id, body) in [
            (None, &id, good.as_str()),
            (Some("dps_0"), &id, &good),
            (Some(&*nobody), &id, &good),
            (Some(&*admin), &nowhere, &good),
            (Some(&*admin), &"x".to_owned(), &good),
            (Some(&*admin), &id, "{&&=%zz"),
            (Some(&*admin), &id, r#"{"nonsense":1}"#),
            (Some(&*admin), &id, &"x".repeat(64 * 1024 + 1)),
        ] {
            answers.push((operation.name.clone(), service.ask(operation, id, token, body.to_owned()).await));
        }
        let at = operation.at(&id);
        let mut send = async |path: &str, headers: &[(&'static str, String)], body: Body| {
            answers.push((operation.name.clone(), service.send(operation.method.clone(), path, headers, body).await));
        };
        let mut twice = operation.headers(Some(&admin));
        twice.extend(operation.headers(Some(&admin)));
        send(&at, &twice, good.clone().into()).await;
        let bearer = ("authorization", format!("Bearer {admin}"));
        let other_type = [bearer.clone(), ("content-type", "text/plain".to_owned())];
        send(&at, &other_type, good.clone().into()).await;
        let never = stream::pending::<Result<Bytes, std::io::Error>>();
        send(&at, &operation.headers(Some(&admin)), Body::from_bytes_stream(never)).await;
        for (parameter, token) in [("limit=0", &admin), ("limit=x", &admin), ("kinds=x", &admin), ("scope=x", &nobody)]
        {
            if operation.parameters.iter().any(|name| parameter.starts_with(name.as_str())) {
                send(&format!("{at}?{parameter}"), &operation.headers(Some(token)), Body::empty()).await;
            }
        }
        if operation.fields.contains("scopes") {
            let mut more: Value = serde_json::from_str(&good).unwrap();
            more["scopes"] = json!(["nobodys"]);
            send(&at, &operation.headers(Some(&admin)), more.to_string().into()).await;
        }
        if operation.path.starts_with("/oauth/") {
            send(&at, &operation.headers(None), good.replace(&cast.client.1, "wrong").into()).await;
        }
        let user = format!("username={}&password=wrong", cast.name);
        if operation.path.contains("login") || operation.path.contains("auth/") {
            let wrong = json!({ "username": cast.name, "password": "wrong" }).to_string();
            let wrong = if operation.media_type.as_deref() == Some(FORM) { user } else { wrong };
            send(&at, &operation.headers(None), wrong.into()).await;
        }
        // Nobody but its own holder renews or rotates a session.
        if ["renewToken", "rotateToken"].contains(&operation.name.as_str()) {
            send(&at, &operation.headers(Some(&admin)), good.clone().into()).await;
            send(&operation.at("current"), &operation.headers(Some(&admin)), good.clone().into()).await;
        }
        // Last, for it may end the token.
        send(&at, &operation.headers(Some(&admin)), good.into()).await;
    }
    for path in ["/nowhere", "/v1/nowhere", "/oauth/nowhere", "/v1/tokens/a/b/c"] {
        answers.push(("nothing".to_owned(), service.get(path, None).await));
    }

    let limited = Service::with(|config| config.limits.login_per_minute_per_ip = 1).await;
    let cast = Cast::of(&limited).await;
    for operation in operations.iter().filter(|operation| operation.statuses.contains("429")) {
        let token = if operation.takes_a_token { Some(cast.victims_token.as_str()) } else { None };
        let own = operation.body(&cast);
        let body = if operation.path == "/oauth/revoke" { "token=x".to_owned() } else { own };
        for _ in 0..2 {
            let answer = limited.ask(operation, NOBODY, token, body.clone()).await;
            answers.push((operation.name.clone(), answer));
        }
    }

    let (cast, admin) = (Cast::of(&service).await, service.somebody(&RESERVED).await);
    service.app.db.close().await;
    service.advance(seconds(2));
    for operation in &operations {
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
    let answers = all_answers().await;
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
    let documented = operations();
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
    let (client, secret) = service.a_client(&["read", "daypass:introspect"]).await;
    let form =
        format!("grant_type=client_credentials&client_id={client}&client_secret={secret}&scope=daypass%3Aintrospect");
    let client = service.form("/oauth/token", &form).await.text_of("access_token");
    let bob = service.login("bob", json!({ "refresh": true })).await;
    let his = service.issue(&bob.token(), json!({ "name": "his" })).await;
    let run = a_run(&service).await;
    let (user, other) = (bob.json()["user"]["id"].as_str().unwrap().to_owned(), service.a_client(&["read"]).await);
    let listed = service.get("/v1/tokens?user=bob", Some(&admin)).await.member("items");
    let ids: Vec<String> = listed.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 3, "a session, a refresh token, and one of a program");
    let seen_by_admin = async || {
        let mut all = Vec::new();
        for path in ["/v1/tokens?user=bob", &format!("/v1/users/{user}"), &format!("/v1/clients/{}", other.0)] {
            all.push(service.get(path, Some(&admin)).await.is(200).text.clone());
        }
        all
    };
    let before = seen_by_admin().await;
    let ids: Vec<&str> = ids.iter().map(String::as_str).chain([user.as_str(), &other.0, &run]).collect();
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
    let form = format!("grant_type=refresh_token&refresh_token={}", bob.text_of("refresh_token"));
    service.form("/oauth/token", &form).await.is(200);
}
