//! The same done to the service and to the model, and what both say of it.

use std::ops::Range;

use daypass::{
    config::Durability,
    maintenance::{self, Manner, job::Job},
};
use entity::{
    Scopes, Timestamp,
    maintenance_run::{Model as Run, Outcome, Trigger},
};
use poem::http::Method;
use serde_json::{Value, json};

use super::{
    Step,
    contract::{Answer, Family, Kind, Secret, Settings, State, Token, Traded, World, answers},
};
use crate::support::{Answer as Told, Service};

/// The first administers.
pub const USERS: [&str; 3] = ["admin", "alice", "bob"];
const ADMIN: usize = 0;

/// How a token is revoked.
#[derive(Clone, Copy, Debug)]
pub enum Revocation {
    LogOut,
    /// By its id, by an administrator.
    ById,
    /// `/v1/tokens/revoke`.
    HandedIn,
    /// `/oauth/revoke`.
    OAuth,
}

/// Who asks that a token is renewed or rotated.
#[derive(Clone, Copy, Debug)]
pub enum Asker {
    /// Whoever holds it.
    Holder,
    Admin,
}

/// A service and its model.
pub struct Driver {
    service: Service,
    world: World,
    /// The token ids and user ids that the service gave.
    ids: Vec<String>,
    users: Vec<String>,
    secrets: Vec<Secret>,
    /// How many answers were compared.
    pub compared: u64,
}

impl Driver {
    pub async fn start(settings: Settings) -> Self {
        let service = Service::with(|config| {
            let duration = |millis| std::time::Duration::from_millis(u64::try_from(millis).unwrap());
            for (kind, policy) in [
                (Kind::Session, &mut config.tokens.session),
                (Kind::Api, &mut config.tokens.api),
                (Kind::Refresh, &mut config.tokens.refresh),
            ] {
                let wanted = super::contract::Policy::of(kind);
                (policy.ttl, policy.max_lifetime) = (duration(wanted.ttl), duration(wanted.max_lifetime));
            }
            config.maintenance.retain_expired = duration(settings.retain_expired);
            config.maintenance.retain_revoked = duration(settings.retain_revoked);
            config.oauth.refresh_grace = duration(settings.refresh_grace);
            // What a power loss may cost is tried elsewhere, and the disk would be what takes the time.
            config.database.sqlite_durability = Durability::Normal;
            // A disabled user's right passwords are failures.
            config.limits.login_failures_before_lock = u32::MAX;
        })
        .await;
        let world = World {
            settings,
            now: service.now().millis(),
            tokens: Vec::new(),
            families: Vec::new(),
            disabled: vec![false; USERS.len()],
        };
        let (ids, users, secrets) = (Vec::new(), Vec::new(), Vec::new());
        let mut driver = Self { service, world, ids, users, secrets, compared: 0 };
        for name in USERS {
            let scopes: &[_] = if name == USERS[ADMIN] { &[Scopes::ADMIN, Scopes::INTROSPECT] } else { &[] };
            driver.service.user(name, scopes).await;
        }
        let admin = driver.admin().await;
        let users = driver.service.get("/v1/users", Some(&admin)).await.member("items");
        for name in USERS {
            let user = users.as_array().unwrap().iter().find(|user| user["username"] == name).unwrap();
            driver.users.push(text(user, "id"));
        }
        driver
    }

    /// How many tokens were issued.
    pub fn tokens(&self) -> usize {
        self.world.tokens.len()
    }

    pub async fn take(&mut self, step: &Step) {
        match *step {
            Step::LogIn { user, ttl, idle_timeout, refresh } => self.log_in(user, ttl, idle_timeout, refresh).await,
            Step::Issue { user, ttl, idle_timeout, by } => self.issue(user, ttl, idle_timeout, by).await,
            Step::Renew { which, ttl, by } => self.renew(which, ttl, by).await,
            Step::Rotate { which, overlap, by } => self.rotate(which, overlap, by).await,
            Step::Revoke { which, how } => self.revoke(which, how).await,
            Step::RevokeAll { user, kinds } => self.revoke_all(user, kinds).await,
            Step::Disable { user, disabled } => self.disable(user, disabled).await,
            Step::Trade { which } => self.trade(which).await,
            Step::Introspect { which } => self.introspect(which).await,
            Step::List { user, state, kind } => self.list(user, state, kind).await,
            Step::Purge => self.purge().await,
            Step::Wait { millis } => self.wait(millis),
            Step::WaitUntil { edge, offset } => {
                let edges = self.world.edges(&self.secrets);
                if let Some(edge) = edges.get(edge % edges.len().max(1)) {
                    self.wait(edge + offset - self.world.now);
                }
            }
            Step::Restart => self.service.restart().await,
        }
    }

    fn wait(&mut self, millis: i64) {
        self.service.advance_ms(millis);
        self.world.now += millis;
    }

    /// A new token, as it was answered.
    fn add(&mut self, token: Token, id: &str, secret: &str) -> usize {
        self.world.tokens.push(token);
        self.ids.push(id.to_owned());
        self.add_secret(self.ids.len() - 1, secret);
        self.ids.len() - 1
    }

    fn add_secret(&mut self, token: usize, text: &str) {
        self.secrets.push(Secret { token, text: text.to_owned(), until: i64::MAX, dead: false });
    }

    /// The secret that is meant by a number, counted from the newest, among those of tokens of these kinds.
    fn secret(&self, which: usize, kinds: &[Kind]) -> Option<usize> {
        let among: Vec<_> = (0..self.secrets.len())
            .rev()
            .filter(|at| kinds.contains(&self.world.tokens[self.secrets[*at].token].kind))
            .collect();
        among.get(which % among.len().max(1)).copied()
    }

    fn works(&self, secret: usize) -> bool {
        let secret = &self.secrets[secret];
        answers(&self.world.tokens[secret.token], secret, self.world.now) == [Answer::Works]
    }

    /// Presents a secret: whether it must be let in. To present one that works is a use.
    fn present(&mut self, secret: usize) -> bool {
        let works = self.works(secret);
        if works {
            self.world.tokens[self.secrets[secret].token].last_use = self.world.now;
        }
        works
    }

    /// The newest secret that works of a user's own tokens of this kind; one that does not slide, for a use is listed only once
    /// it is written.
    fn own(&mut self, user: usize, kind: Kind) -> Option<String> {
        let is_own = |secret: &Secret| {
            let token = &self.world.tokens[secret.token];
            token.user == user && token.kind == kind && token.idle_timeout.is_none()
        };
        let own = (0..self.secrets.len()).rev().find(|at| is_own(&self.secrets[*at]) && self.works(*at))?;
        self.present(own);
        Some(self.secrets[own].text.clone())
    }

    /// An administrator's session, who logs in if there is none.
    async fn admin(&mut self) -> String {
        if self.own(ADMIN, Kind::Session).is_none() {
            self.log_in(ADMIN, None, None, false).await;
        }
        self.own(ADMIN, Kind::Session).unwrap()
    }

    async fn log_in(&mut self, user: usize, ttl: Option<i64>, idle_timeout: Option<i64>, refresh: bool) {
        let more = json!({ "ttl": in_seconds(ttl), "idle_timeout": in_seconds(idle_timeout), "refresh": refresh });
        let told = self.service.login(USERS[user], more).await;
        if self.world.disabled[user] {
            told.is_problem(401);
            return;
        }
        told.is(200);
        let now = self.world.now;
        let family = refresh.then(|| {
            let end = Token::issued(Kind::Refresh, user, None, None, None, now).max_end;
            self.world.families.push(Family { end, forgotten: false });
            (self.world.families.len() - 1, end)
        });
        let session = Token::issued(Kind::Session, user, ttl, idle_timeout, family, now);
        self.is_shown(&session, &told.json());
        let session = self.add(session, &told.text_of("id"), &told.token());
        if refresh {
            let token = told.text_of("refresh_token");
            self.add_refresh(user, family, session, &token);
        }
    }

    fn add_refresh(&mut self, user: usize, family: Option<(usize, i64)>, session: usize, text: &str) -> usize {
        let mut refresh = Token::issued(Kind::Refresh, user, None, None, family, self.world.now);
        refresh.trade.beside = Some(session);
        let id = self.id_of(text);
        self.add(refresh, &id, text)
    }

    /// The id inside of a token, which is in no answer to a trade.
    fn id_of(&self, text: &str) -> String {
        daypass::token::check::parse(&self.service.app, text, self.service.now()).unwrap().id.to_string()
    }

    async fn issue(&mut self, user: usize, ttl: Option<i64>, idle_timeout: Option<i64>, by: Asker) {
        let wanted = json!({ "ttl": in_seconds(ttl), "idle_timeout": in_seconds(idle_timeout), "user": USERS[user] });
        let own = match by {
            Asker::Holder => self.own(user, Kind::Session),
            Asker::Admin => None,
        };
        let asking = match own {
            Some(own) => own,
            None => self.admin().await,
        };
        let told = self.service.issue(&asking, wanted).await;
        if self.world.disabled[user] {
            told.is_problem(409);
            return;
        }
        let token = Token::issued(Kind::Api, user, ttl, idle_timeout, None, self.world.now);
        self.is_shown(&token, &told.is(201).json());
        self.add(token, &told.text_of("id"), &told.token());
    }

    /// Asks for a change of a token; the answer, if it had to be made.
    async fn change(&mut self, secret: usize, verb: &str, body: Value, by: Asker) -> Option<Told> {
        let (token, id) = (self.secrets[secret].token, self.ids[self.secrets[secret].token].clone());
        let (right, told) = match by {
            // Renew and rotate reach kind `api`, and the caller's own `current`.
            Asker::Admin if self.world.tokens[token].kind == Kind::Api => {
                let admin = self.admin().await;
                let token = &self.world.tokens[token];
                let right = if token.deleted {
                    404
                } else if token.is_active(self.world.now) {
                    200
                } else {
                    409
                };
                (right, self.service.post(&format!("/v1/tokens/{id}/{verb}"), Some(&admin), body).await)
            }
            Asker::Admin | Asker::Holder => {
                let right = if self.present(secret) { 200 } else { 401 };
                let text = &self.secrets[secret].text;
                (right, self.service.post(&format!("/v1/tokens/current/{verb}"), Some(text), body).await)
            }
        };
        told.is(right);
        (right == 200).then_some(told)
    }

    async fn renew(&mut self, which: usize, ttl: Option<i64>, by: Asker) {
        let Some(secret) = self.secret(which, &[Kind::Session, Kind::Api]) else { return };
        let Some(told) = self.change(secret, "renew", json!({ "ttl": in_seconds(ttl) }), by).await else { return };
        let (token, now) = (self.secrets[secret].token, self.world.now);
        self.world.tokens[token].renew(ttl, now);
        self.is_shown(&self.world.tokens[token], &told.json());
    }

    async fn rotate(&mut self, which: usize, overlap: i64, by: Asker) {
        let Some(secret) = self.secret(which, &[Kind::Session, Kind::Api]) else { return };
        let Some(told) = self.change(secret, "rotate", json!({ "overlap": overlap / 1000 }), by).await else { return };
        let (token, now) = (self.secrets[secret].token, self.world.now);
        // At most two work: the overlap of one that was replaced before ends.
        for secret in self.secrets.iter_mut().filter(|secret| secret.token == token) {
            let end = if secret.until == i64::MAX { now + overlap } else { now };
            secret.until = secret.until.min(end);
        }
        self.is_shown(&self.world.tokens[token], &told.json());
        self.add_secret(token, &told.token());
    }

    async fn revoke(&mut self, which: usize, how: Revocation) {
        let Some(at) = self.secret(which, &[Kind::Session, Kind::Api, Kind::Refresh]) else { return };
        let Secret { token, text, until, .. } = self.secrets[at].clone();
        let is_refresh = self.world.tokens[token].kind == Kind::Refresh;
        let is_held = !self.world.tokens[token].deleted && self.world.now < until;
        match how {
            Revocation::LogOut => {
                let works = self.present(at);
                let told = self.service.post("/v1/logout", Some(&text), json!({})).await;
                told.is(if works { 204 } else { 401 });
                if works {
                    self.world.revoke(token);
                }
            }
            Revocation::ById => {
                let (admin, path) = (self.admin().await, format!("/v1/tokens/{}", self.ids[token]));
                let told = self.service.delete(&path, Some(&admin)).await;
                told.is(if self.world.tokens[token].deleted { 404 } else { 204 });
                if !self.world.tokens[token].deleted {
                    self.world.revoke(token);
                }
            }
            Revocation::HandedIn => {
                self.service.post("/v1/tokens/revoke", None, json!({ "tokens": [text] })).await.is(202);
                // A spent refresh token is known for what it was as long as its family is.
                if is_held || is_refresh {
                    self.world.revoke(token);
                }
            }
            Revocation::OAuth => {
                self.service.form("/oauth/revoke", &format!("token={text}")).await.is(200);
                // An access token ends alone here, and a refresh token by its family.
                if !is_refresh && is_held {
                    self.world.tokens[token].revoke(self.world.now);
                } else if is_refresh && let Some(family) = self.world.family(token) {
                    self.world.end_family(family);
                }
            }
        }
    }

    async fn revoke_all(&mut self, user: usize, kinds: &[Kind]) {
        let Some(own) = self.own(user, Kind::Session) else { return };
        let query: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        let told = self.service.post(&format!("/v1/logout-all?kinds={}", query.join(",")), Some(&own), json!({})).await;
        let active = |world: &World| world.tokens.iter().filter(|token| token.is_active(world.now)).count();
        let named = |token: &&Token| token.user == user && kinds.contains(&token.kind);
        let least = self.world.tokens.iter().filter(named).filter(|token| token.is_active(self.world.now)).count();
        let before = active(&self.world);
        self.world.revoke_all(user, kinds);
        let most = before - active(&self.world);
        let revoked = usize::try_from(told.is(200).member("revoked").as_u64().unwrap()).unwrap();
        assert!((least..=most).contains(&revoked), "{revoked} were revoked, of {least} to {most}");
    }

    async fn disable(&mut self, user: usize, disabled: bool) {
        let (admin, path) = (self.admin().await, format!("/v1/users/{}", self.users[user]));
        let told = self.service.json(Method::PATCH, &path, Some(&admin), json!({ "disabled": disabled })).await;
        assert_eq!(told.is(200).member("disabled"), disabled);
        self.world.disabled[user] = disabled;
        if disabled {
            self.world.revoke_all(user, &[Kind::Session, Kind::Api, Kind::Refresh]);
        }
    }

    async fn trade(&mut self, which: usize) {
        let Some(secret) = self.secret(which, &[Kind::Refresh]) else { return };
        let Secret { token, text, .. } = self.secrets[secret].clone();
        let told = self.service.form("/oauth/token", &format!("grant_type=refresh_token&refresh_token={text}")).await;
        let family = self.world.tokens[token].family.unwrap();
        match self.world.trade(token) {
            Traded::Pair { spent } => {
                let (user, now) = (self.world.tokens[token].user, self.world.now);
                let family = Some((family, self.world.families[family].end));
                let access = told.is(200).text_of("access_token");
                let session = Token::issued(Kind::Session, user, None, None, family, now);
                let id = self.id_of(&access);
                let session = self.add(session, &id, &access);
                let refresh = self.add_refresh(user, family, session, &told.text_of("refresh_token"));
                self.world.spend(token, spent, refresh);
            }
            refused @ (Traded::Refused | Traded::Copy) => {
                assert_eq!(told.is(400).member("error"), "invalid_grant");
                if refused == Traded::Copy {
                    self.world.end_family(family);
                }
            }
        }
    }

    async fn introspect(&mut self, which: usize) {
        let Some(secret) = self.secret(which, &[Kind::Session, Kind::Api, Kind::Refresh]) else { return };
        let admin = self.admin().await;
        // A token does not introspect itself.
        if self.secrets[secret].text != admin {
            self.is_introspected(secret, &admin).await;
        }
    }

    /// RFC 7662 §2.2: inactive in any way is `{"active": false}` and nothing else.
    async fn is_introspected(&mut self, secret: usize, admin: &str) {
        let works = self.present(secret);
        let Secret { token, text, .. } = &self.secrets[secret];
        let token = &self.world.tokens[*token];
        let headers = [
            ("authorization", format!("Bearer {admin}")),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ];
        let told = self.service.send(Method::POST, "/oauth/introspect", &headers, format!("token={text}")).await;
        let told = told.is(200).json();
        // It is active for whoever administers, though it opens nothing.
        let is_active = works || token.kind == Kind::Refresh && token.is_active(self.world.now);
        if is_active {
            let last = if token.idle_timeout.is_some() { token.expires_at() } else { token.ttl_end..token.ttl_end };
            // Of two secrets, one that was replaced tells its own end.
            let end = self.secrets[secret].until;
            let (earliest, latest) = (last.start.min(end) / 1000, last.end.min(end) / 1000);
            assert_eq!(told["active"], true, "{token:?} at {}: {told}", self.world.now);
            let exp = told["exp"].as_i64().unwrap();
            assert!((earliest..=latest).contains(&exp), "{token:?} at {}: {told}", self.world.now);
        } else {
            assert_eq!(told, json!({ "active": false }), "{token:?} at {}", self.world.now);
        }
        self.compared += 1;
    }

    /// A list is what the model has, by the filters too.
    async fn list(&mut self, user: usize, state: Option<State>, kind: Option<Kind>) {
        let filters =
            [state.map(|state| format!("&state={}", state.name())), kind.map(|kind| format!("&kind={}", kind.name()))];
        let listed = self.listed(user, &filters.map(Option::unwrap_or_default).concat()).await;
        for (at, token) in self.world.tokens.iter().enumerate() {
            let is_wanted = token.user == user
                && !token.deleted
                && kind.is_none_or(|kind| token.kind == kind)
                && state.is_none_or(|state| token.state(self.world.now) == Some(state));
            let is_listed = listed.iter().any(|item| item["id"] == self.ids[at]);
            assert_eq!(is_listed, is_wanted, "{token:?} at {} among {state:?} {kind:?}", self.world.now);
        }
        self.compared += 1;
    }

    /// A user's tokens: as they see them themselves if they have a session, else as an administrator does.
    async fn listed(&mut self, user: usize, filters: &str) -> Vec<Value> {
        self.service.flush().await;
        let (asking, whose) = match self.own(user, Kind::Session) {
            Some(own) if user != ADMIN => (own, String::new()),
            Some(_) | None => (self.admin().await, format!("&user={}", USERS[user])),
        };
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/tokens?limit=200{whose}{filters}{cursor}");
            let page = self.service.get(&path, Some(&asking)).await;
            items.extend(page.is(200).member("items").as_array().unwrap().iter().cloned());
            let next = page.member("next_cursor");
            let Some(next) = next.as_str() else { return items };
            cursor = format!("&cursor={next}");
        }
    }

    async fn run(&self, job: Job) -> Run {
        maintenance::run(&self.service.app, job, Trigger::Cli, Manner::default(), &mut ()).await.unwrap()
    }

    async fn purge(&mut self) {
        self.service.flush().await;
        let (purged, rotations) = (self.run(Job::Purge).await, self.run(Job::Rotations).await);
        assert_eq!((purged.outcome, rotations.outcome), (Some(Outcome::Done), Some(Outcome::Done)));
        self.world.forget_families();
        let mut listed = Vec::new();
        for user in 0..USERS.len() {
            // Whoever asks may be new, and then is not among those that the purge saw.
            listed.extend(self.listed(user, "").await);
        }
        let (mut expired, mut revoked) = (0, 0);
        for (at, token) in self.world.tokens.iter_mut().enumerate().filter(|(_, token)| !token.deleted) {
            let is_there = listed.iter().any(|item| item["id"] == self.ids[at]);
            match token.is_stale(&self.world.settings, self.world.now) {
                Some(true) => assert!(!is_there, "the purge left {token:?} at {}", self.world.now),
                Some(false) => assert!(is_there, "the purge deleted {token:?} at {}", self.world.now),
                None => {}
            }
            if !is_there {
                token.deleted = true;
                *if token.revoked_at.is_some() { &mut revoked } else { &mut expired } += 1;
            }
        }
        assert_eq!((purged.deleted_expired, purged.deleted_revoked), (expired, revoked));
    }

    /// Whether this is how a token is shown that works.
    fn is_shown(&self, token: &Token, shown: &Value) {
        let now = self.world.now;
        let expires_at = instant(shown, "expires_at");
        let Range { start, end } = token.expires_at();
        assert!((start..=end).contains(&expires_at), "{token:?} at {now}: {shown}");
        if token.idle_timeout.is_none() {
            assert_eq!(expires_at, token.ttl_end, "{token:?} at {now}: {shown}");
        }
        assert_eq!(instant(shown, "max_expires_at"), token.max_end, "{token:?} at {now}: {shown}");
        assert_eq!(shown["idle_timeout"], in_seconds(token.idle_timeout), "{token:?} at {now}: {shown}");
        assert_eq!((&shown["state"], &shown["kind"]), (&json!("active"), &json!(token.kind.name())), "{token:?}");
        assert_eq!(shown["user"]["username"], USERS[token.user], "{token:?}");
        // What is granted beyond the record of a use is not counted.
        assert_eq!(shown["expires_in"], (expires_at - now).max(0) / 1000, "{token:?} at {now}: {shown}");
    }

    /// Everything that the service says, beside what it must say.
    pub async fn compare(&mut self) {
        for user in 0..USERS.len() {
            let listed = self.listed(user, "").await;
            self.is_listed(user, &listed);
        }
        for secret in 0..self.secrets.len() {
            self.is_checked(secret).await;
        }
        let admin = self.admin().await;
        for secret in 0..self.secrets.len() {
            let token = &self.world.tokens[self.secrets[secret].token];
            if token.kind == Kind::Refresh && !token.deleted {
                self.is_introspected(secret, &admin).await;
            }
        }
        self.service.flush().await;
    }

    fn is_listed(&mut self, user: usize, listed: &[Value]) {
        let now = self.world.now;
        let own = |token: &Token| token.user == user && !token.deleted;
        assert_eq!(listed.len(), self.world.tokens.iter().filter(|token| own(token)).count());
        for (at, token) in self.world.tokens.iter().enumerate().filter(|(_, token)| own(token)) {
            let shown = listed.iter().find(|item| item["id"] == self.ids[at]);
            let shown = shown.unwrap_or_else(|| panic!("{token:?} is not listed at {now}"));
            let secret = self.secrets.iter().rev().find(|secret| secret.token == at).unwrap();
            assert!(secret.text.ends_with(shown["hint"].as_str().unwrap()), "{token:?}: {shown}");
            match token.state(now) {
                Some(State::Active) => self.is_shown(token, shown),
                Some(state) => {
                    assert_eq!(shown["state"], state.name(), "{token:?} at {now}: {shown}");
                    assert_eq!(shown["expires_in"], 0, "{token:?} at {now}: {shown}");
                }
                None => assert!(["active", "expired"].contains(&shown["state"].as_str().unwrap()), "{shown}"),
            }
            let revoked_at = shown["revoked_at"].is_string().then(|| instant(shown, "revoked_at"));
            assert_eq!(revoked_at, token.revoked_at, "{token:?} at {now}: {shown}");
            self.compared += 1;
        }
    }

    async fn is_checked(&mut self, at: usize) {
        let told = self.service.check(&self.secrets[at].text).await;
        let (secret, now) = (&mut self.secrets[at], self.world.now);
        let token = &mut self.world.tokens[secret.token];
        let answer = match told.status.as_u16() {
            200 => Answer::Works,
            401 => match told.text_of("type").rsplit(':').next().unwrap() {
                "token-expired" => Answer::Expired,
                "token-revoked" => Answer::Revoked,
                "token-unknown" => Answer::Unknown,
                "token-not-accepted" => Answer::NotHere,
                other => panic!("{other}"),
            },
            status => panic!("{status}"),
        };
        let right = answers(token, secret, now);
        assert!(right.contains(&answer), "{token:?} at {now}, {secret:?}: {answer:?}, not {right:?}");
        let works = answer == Answer::Works;
        assert!(!works || !secret.dead, "what had ended works again: {token:?} at {now}, {secret:?}");
        secret.dead |= !works && answer != Answer::NotHere;
        if works {
            token.last_use = now;
            assert_eq!(told.member("active"), true);
            let token = &self.world.tokens[self.secrets[at].token];
            self.is_shown(token, &told.json());
        } else {
            let challenge = told.header("www-authenticate");
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
            if right == [Answer::Works, Answer::Expired] {
                token.found_expired = Some(now);
            }
        }
        self.compared += 1;
    }
}

fn in_seconds(millis: Option<i64>) -> Value {
    millis.map_or(Value::Null, |millis| json!(millis / 1000))
}

fn instant(shown: &Value, name: &str) -> i64 {
    text(shown, name).parse::<Timestamp>().unwrap().millis()
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_else(|| panic!("no {name} in {of}")).to_owned()
}
