//! All tokens of somebody are ended while one is made for them: it ends with the others, or is not made.

use std::sync::Arc;

use daypass::{db::Engine, pause::Point};
use entity::token;
use poem::http::Method;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use tokio::task::JoinSet;

use super::Begun;
use crate::{
    oauth::Client,
    support::{Answer, PASSWORD, Service},
};

/// What makes a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Login,
    LoginWithRefresh,
    Issue,
    Trade,
    PasswordGrant,
    ClientCredentials,
}

/// What ends all of somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ender {
    LogoutAll,
    OwnPassword,
    NewPassword,
    DisableUser,
    DeleteUser,
    DisableClient,
    DeleteClient,
}

const ALL: [(Maker, &[Ender]); 6] = {
    use Ender::*;
    use Maker::*;
    [
        (Login, &[LogoutAll, OwnPassword, NewPassword, DisableUser, DeleteUser]),
        (LoginWithRefresh, &[LogoutAll, OwnPassword, NewPassword, DisableUser, DeleteUser]),
        // Tokens of kind `api` outlast a password that their user changes themselves.
        (Issue, &[LogoutAll, NewPassword, DisableUser, DeleteUser]),
        (Trade, &[LogoutAll, OwnPassword, NewPassword, DisableUser, DeleteUser, DisableClient, DeleteClient]),
        (PasswordGrant, &[LogoutAll, OwnPassword, NewPassword, DisableUser, DeleteUser, DisableClient, DeleteClient]),
        (ClientCredentials, &[DisableClient, DeleteClient]),
    ]
};

/// Each maker with each of its enders.
fn pairs() -> impl Iterator<Item = (Maker, Ender)> {
    ALL.into_iter().flat_map(|(maker, enders)| enders.iter().map(move |ender| (maker, *ender)))
}

/// Who logs out everywhere may log in again: what is made so may come after the end, and work.
fn may_log_in_again(maker: Maker, ender: Ender) -> bool {
    ender == Ender::LogoutAll && [Maker::Login, Maker::LoginWithRefresh, Maker::PasswordGrant].contains(&maker)
}

/// Somebody who has tokens, with all that is needed to make another and to end them.
#[derive(Clone)]
struct Somebody {
    service: Arc<Service>,
    admin: String,
    name: String,
    user: String,
    client: Client,
    session: String,
    refresh: String,
}

/// A service, and another process beside it.
async fn start(counted: bool) -> (Arc<Service>, Arc<Service>, String) {
    let service = Service::with(|config| {
        config.limits.login_failures_before_lock = 0;
        config.oauth.password_grant = true;
        // What is counted is issued in a transaction, and else by a single statement.
        config.tokens.api.per_user_limit = if counted { 10 } else { 0 };
    });
    let service = Arc::new(service.await);
    let other = Arc::new(service.replica().await);
    let admin = service.admin().await;
    (service, other, admin)
}

impl Somebody {
    async fn new(service: &Arc<Service>, admin: &str, maker: Maker, ender: Ender) -> Self {
        let name = format!("{maker:?}.{ender:?}");
        service.user(&name, &["read"]).await;
        let session = service.login(&name, json!({})).await.token();
        let client = service.client(&["read"]).await;
        let refresh = service.password_grant(&client, &name).await.text_of("refresh_token");
        // It is remembered from here on.
        let user = service.check(&session).await.member("user")["id"].as_str().unwrap().to_owned();
        Self { service: Arc::clone(service), admin: admin.to_owned(), name, user, client, session, refresh }
    }

    fn make(&self, maker: Maker) -> impl Future<Output = Answer> + Send + use<> {
        let Self { service, name, client, session, refresh, .. } = self.clone();
        async move {
            match maker {
                Maker::Login => service.login(&name, json!({})).await,
                Maker::LoginWithRefresh => service.login(&name, json!({ "refresh": true })).await,
                Maker::Issue => service.issue(&session, json!({})).await,
                Maker::Trade => service.refresh_as(&client, &refresh).await,
                Maker::PasswordGrant => service.password_grant(&client, &name).await,
                Maker::ClientCredentials => service.token(&client, &[("grant_type", "client_credentials")]).await,
            }
        }
    }

    /// Ends all, by this process.
    fn end(&self, ender: Ender, at: &Arc<Service>) -> impl Future<Output = Answer> + Send + use<> {
        let Self { admin, session, .. } = self;
        let (user, client) = (format!("/v1/users/{}", self.user), format!("/v1/clients/{}", self.client.id));
        let new = "another fine long phrase";
        let (method, path, by, body) = match ender {
            Ender::LogoutAll => (Method::POST, "/v1/logout-all?kinds=session,api", session, json!({})),
            Ender::OwnPassword => {
                let body = json!({ "current_password": PASSWORD, "new_password": new });
                (Method::PUT, "/v1/me/password", session, body)
            }
            Ender::NewPassword => (Method::PATCH, user.as_str(), admin, json!({ "password": new })),
            Ender::DisableUser => (Method::PATCH, user.as_str(), admin, json!({ "disabled": true })),
            Ender::DeleteUser => (Method::DELETE, user.as_str(), admin, json!({})),
            Ender::DisableClient => (Method::PATCH, client.as_str(), admin, json!({ "disabled": true })),
            Ender::DeleteClient => (Method::DELETE, client.as_str(), admin, json!({})),
        };
        let ending = at.sent(method, path, by, body);
        async move {
            let answer = ending.await;
            assert!(answer.status.is_success(), "{answer:?}");
            answer
        }
    }

    /// What was made is refused or does not work, for any process, and no row says otherwise.
    async fn has_none_left(&self, maker: Maker, ender: Ender, made: &Answer, other: &Service) {
        let what = format!("{maker:?}, {ender:?}: {made:?}");
        if made.status.is_success() {
            let json = made.json();
            let access = json.get("token").or(json.get("access_token")).unwrap().as_str().unwrap();
            for at in [&*self.service, other] {
                at.look().await;
                assert_eq!(at.check(access).await.status, 401, "{what}");
            }
            if let Some(refresh) = json.get("refresh_token").and_then(|refresh| refresh.as_str()) {
                let again = if maker == Maker::LoginWithRefresh {
                    self.service.refresh(refresh).await
                } else {
                    self.service.refresh_as(&self.client, refresh).await
                };
                assert!([400, 401].contains(&again.status.as_u16()), "{what}: {again:?}");
            }
        } else {
            assert!([400, 401, 409].contains(&made.status.as_u16()), "{what}");
        }
        let theirs = if [Ender::DisableClient, Ender::DeleteClient].contains(&ender) {
            token::Column::ClientId.eq(&self.client.id)
        } else {
            token::Column::UserId.eq(self.user.parse::<uuid::Uuid>().unwrap())
        };
        let left = token::Entity::find().filter(theirs).filter(token::Column::RevokedAt.is_null());
        let left = left.count(self.service.app.db.reader()).await.unwrap();
        assert_eq!(left, u64::from(ender == Ender::OwnPassword), "but for the session that changed it: {what}");
    }
}

/// Whatever it knows from before, it knows; then all is ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_made_by_what_was_known_before_the_end() {
    let (service, other, admin) = start(false).await;
    for (maker, ender) in pairs() {
        let they = Somebody::new(&service, &admin, maker, ender).await;
        let making = service.hold(Point::Change, they.make(maker)).await;
        they.end(ender, &service).await;
        let made = making.let_go().await;
        assert!(!made.status.is_success(), "{maker:?}, {ender:?}: {made:?}");
        they.has_none_left(maker, ender, &made, &other).await;
    }
}

/// It is written and not committed, and who ends all has to wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_and_not_committed_ends_too() {
    for counted in [true, false] {
        let (service, other, admin) = start(counted).await;
        if service.has_one_writer() {
            return;
        }
        for (maker, ender) in pairs() {
            // Where nothing is counted, only issuing is another way; by one statement on PostgreSQL, which commits itself.
            if !counted && (maker != Maker::Issue || service.app.db.engine() == Engine::Postgres) {
                continue;
            }
            let they = Somebody::new(&service, &admin, maker, ender).await;
            let making = service.hold(Point::Written, they.make(maker)).await;
            let ending = service.wait(they.end(ender, &service)).await;
            let made = making.let_go().await;
            assert!(made.status.is_success(), "{maker:?}, {ender:?}: {made:?}");
            ending.let_go().await;
            they.has_none_left(maker, ender, &made, &other).await;
        }
    }
}

/// It is committed, and whoever asked for it has not heard. All is ended by another process: on `SQLite` this one's other writers
/// wait until it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_and_not_answered_ends_too() {
    let (service, other, admin) = start(true).await;
    for (maker, ender) in pairs() {
        let they = Somebody::new(&service, &admin, maker, ender).await;
        let making = service.hold(Point::Committed, they.make(maker)).await;
        they.end(ender, &other).await;
        let made = making.let_go().await;
        assert!(made.status.is_success(), "{maker:?}, {ender:?}: {made:?}");
        they.has_none_left(maker, ender, &made, &other).await;
    }
}

/// The other way round: all is about to be ended, when it is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_before_the_end_begins_ends_too() {
    let (service, other, admin) = start(false).await;
    for (maker, ender) in pairs() {
        let they = Somebody::new(&service, &admin, maker, ender).await;
        let ending = service.hold(Point::Change, they.end(ender, &service)).await;
        let made = they.make(maker).await;
        assert!(made.status.is_success(), "{maker:?}, {ender:?}: {made:?}");
        ending.let_go().await;
        they.has_none_left(maker, ender, &made, &other).await;
    }
}

/// All is ended, and that is not committed: who makes one knows nothing of it, and has to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_made_beside_the_end() {
    let (service, other, admin) = start(false).await;
    if service.has_one_writer() {
        return;
    }
    for (maker, ender) in pairs() {
        let they = Somebody::new(&service, &admin, maker, ender).await;
        let ending = service.hold(Point::Written, they.end(ender, &service)).await;
        let making = service.wait(they.make(maker)).await;
        ending.let_go().await;
        let made = making.let_go().await;
        assert!(!made.status.is_success(), "{maker:?}, {ender:?}: {made:?}");
        they.has_none_left(maker, ender, &made, &other).await;
    }
}

/// All is ended, and those who remember have not heard: who makes one is let in by what is remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_made_by_what_is_remembered_past_the_end() {
    let (service, other, admin) = start(false).await;
    for (maker, ender) in pairs().filter(|(maker, ender)| !may_log_in_again(*maker, *ender)) {
        let they = Somebody::new(&service, &admin, maker, ender).await;
        let ending = service.hold(Point::Committed, they.end(ender, &service)).await;
        let making: Begun<Answer> = service.until(Point::Change, they.make(maker)).await;
        assert!(making.held.is_some() || maker != Maker::Issue, "its session is remembered");
        ending.let_go().await;
        let made = making.let_go().await;
        assert!(!made.status.is_success(), "{maker:?}, {ender:?}: {made:?}");
        they.has_none_left(maker, ender, &made, &other).await;
    }
}

/// Many at once, in whatever order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_order_none_is_left() {
    let (service, other, admin) = start(false).await;
    for (maker, ender) in pairs().filter(|(maker, ender)| !may_log_in_again(*maker, *ender)) {
        let they = Somebody::new(&service, &admin, maker, ender).await;
        let mut making = JoinSet::new();
        for _ in 0..4 {
            making.spawn(they.make(maker));
        }
        tokio::task::yield_now().await;
        they.end(ender, &service).await;
        for made in making.join_all().await {
            they.has_none_left(maker, ender, &made, &other).await;
        }
    }
}
