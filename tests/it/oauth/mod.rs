//! The OAuth doors. Each test is named after the line of the conformance checklist that it holds: token endpoint (`te`),
//! introspection (`i`), revocation (`r`), bearer tokens (`b`) and metadata (`m`); families of refresh tokens stand by themselves.

mod bearer;
mod family;
mod introspection;
mod metadata;
mod race;
mod revocation;
mod token;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use daypass::{
    client::{self, New},
    db::Engine,
};
use entity::{Grant, Scopes};
use poem::http::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::support::{Answer, PASSWORD, Service};

const FORM: &str = "application/x-www-form-urlencoded";

/// A client and its secret.
#[derive(Clone)]
pub struct Client {
    pub id: String,
    pub secret: String,
}

impl Client {
    /// Its credentials as a header.
    fn basic(&self) -> (&'static str, String) {
        basic(&self.id, &self.secret)
    }

    /// Its credentials as parameters.
    fn in_body(&self) -> [(&str, &str); 2] {
        [("client_id", &self.id), ("client_secret", &self.secret)]
    }
}

fn basic(id: &str, secret: &str) -> (&'static str, String) {
    ("authorization", format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}"))))
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

fn encoded(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

impl Service {
    /// A service that offers every grant.
    pub async fn with_every_grant() -> Self {
        Self::with(|config| config.oauth.password_grant = true).await
    }

    /// Makes a client that may have these scopes and use every grant that is offered.
    pub async fn client(&self, scopes: &[&str]) -> Client {
        let grants: Vec<_> = Grant::ALL
            .into_iter()
            .filter(|grant| *grant != Grant::Password || self.app.config.oauth.password_grant)
            .collect();
        self.client_with(scopes, &grants).await
    }

    async fn client_with(&self, scopes: &[&str], grants: &[Grant]) -> Client {
        let new = New {
            name: "a client".to_owned(),
            scopes: Scopes::collect(scopes).unwrap(),
            grants: grants.iter().copied().collect(),
        };
        let created = client::create(&self.app, new, &daypass::audit::Actor::system(), self.now()).await.unwrap();
        Client { id: created.client.client_id, secret: created.secret.expose().to_owned() }
    }

    /// Lets every statement of this sort fail, as where a disk is full.
    async fn break_storage(&self, statement: &str, table: &str) {
        let sql = match self.app.db.engine() {
            Engine::Sqlite => {
                format!("CREATE TRIGGER stop BEFORE {statement} ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END")
            }
            Engine::MySql => format!(
                "CREATE TRIGGER stop BEFORE {statement} ON {table} FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'full'"
            ),
            Engine::Postgres => format!(
                "CREATE OR REPLACE FUNCTION stop() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'full'; END $$ LANGUAGE plpgsql;
                 CREATE TRIGGER stop BEFORE {statement} ON {table} FOR EACH ROW EXECUTE FUNCTION stop()"
            ),
        };
        self.app.db.writer().execute_unprepared(&sql).await.unwrap();
    }

    async fn mend_storage(&self, table: &str) {
        let of = if self.app.db.engine() == Engine::Postgres { format!(" ON {table}") } else { String::new() };
        self.app.db.writer().execute_unprepared(&format!("DROP TRIGGER stop{of}")).await.unwrap();
    }

    /// Sends a form, with headers besides its own.
    async fn oauth(&self, path: &str, headers: &[(&'static str, String)], form: &[(&str, &str)]) -> Answer {
        self.oauth_raw(path, headers, encoded(form)).await
    }

    async fn oauth_raw(&self, path: &str, headers: &[(&'static str, String)], body: impl Into<poem::Body>) -> Answer {
        let mut headers = headers.to_vec();
        headers.push(("content-type", FORM.to_owned()));
        let answer = self.send(Method::POST, path, &headers, body).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert_eq!(answer.header("pragma"), "no-cache", "{answer:?}");
        assert_eq!(answer.header("set-cookie"), "", "{answer:?}");
        if !answer.status.is_success() {
            answer.is_well_formed();
        }
        answer
    }

    /// Asks the token endpoint as this client.
    pub async fn token(&self, client: &Client, form: &[(&str, &str)]) -> Answer {
        self.oauth("/oauth/token", &[client.basic()], form).await
    }

    pub async fn client_credentials(&self, client: &Client) -> String {
        self.token(client, &[("grant_type", "client_credentials")]).await.is(200).text_of("access_token")
    }

    /// A login by the password grant.
    pub async fn password_grant(&self, client: &Client, name: &str) -> Answer {
        let form = [("grant_type", "password"), ("username", name), ("password", PASSWORD)];
        self.token(client, &form).await
    }

    /// A login with a refresh token that is bound to no client: the session and the refresh token.
    pub async fn login_with_refresh(&self, name: &str) -> (String, String) {
        let answer = self.login(name, json!({ "refresh": true })).await;
        (answer.is(200).token(), answer.text_of("refresh_token"))
    }

    /// Trades a refresh token that is bound to no client.
    pub async fn refresh(&self, refresh: &str) -> Answer {
        self.oauth("/oauth/token", &[], &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
    }

    /// Trades a refresh token as this client.
    pub async fn refresh_as(&self, client: &Client, refresh: &str) -> Answer {
        self.token(client, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
    }

    /// Trades one that works: the session and the next refresh token.
    pub async fn traded(&self, refresh: &str) -> (String, String) {
        let answer = self.refresh(refresh).await;
        (answer.is(200).text_of("access_token"), answer.text_of("refresh_token"))
    }

    async fn introspect(&self, client: &Client, token: &str) -> Answer {
        self.oauth("/oauth/introspect", &[client.basic()], &[("token", token)]).await
    }

    async fn revoke(&self, client: Option<&Client>, token: &str) -> Answer {
        let headers: Vec<_> = client.into_iter().map(Client::basic).collect();
        self.oauth("/oauth/revoke", &headers, &[("token", token)]).await
    }
}

impl Answer {
    /// An error in the words of OAuth.
    #[track_caller]
    pub fn is_error(&self, status: u16, error: &str) -> &Self {
        self.is(status).is_well_formed();
        assert_eq!(self.member("error"), error, "{self:?}");
        self
    }

    /// An error as RFC 6749 §5.2 writes it.
    #[track_caller]
    fn is_well_formed(&self) {
        assert!(self.header("content-type").starts_with("application/json"), "{self:?}");
        let json = self.json();
        for (name, value) in json.as_object().unwrap() {
            assert!(["error", "error_description"].contains(&name.as_str()), "{self:?}");
            let allowed = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
            assert!(value.as_str().unwrap().bytes().all(allowed), "{self:?}");
        }
        if self.status == 401 {
            let challenges = self.headers.get_all("www-authenticate").iter().count();
            assert!(challenges >= 1, "{self:?}");
        }
    }

    /// `{"active":false}`, and nothing else.
    #[track_caller]
    fn is_inactive(&self) -> &Self {
        assert_eq!(self.is(200).text, "{\"active\":false}");
        self
    }
}
