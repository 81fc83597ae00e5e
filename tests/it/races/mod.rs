//! What must hold when things happen at the same moment.
//!
//! `stress` leaves the order to chance, many times over. The others choose it: one is held at a point ([`daypass::pause`]) while
//! the other goes on, so that each of them takes the same turns every time. Where `SQLite` is left out, it is because it lets in one
//! writer at a time: nothing is written beside what another has written and not committed.

mod counted;
mod minted;
mod purged;
mod remembered;
mod renewed;
mod secrets;
mod stress;

use std::{sync::Arc, time::Duration};

use daypass::{
    db::Engine,
    pause::{Held, Point},
};
use entity::token;
use poem::http::Method;
use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinHandle, time::timeout};
use uuid::Uuid;

use crate::support::{Answer, Service};

/// How long what must come may take: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// MariaDB looks anew who waits only if nobody looked within 100 ms: so tests take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// Something that has begun, and whoever holds it up, if it is held up.
struct Begun<T> {
    held: Option<Held>,
    task: JoinHandle<T>,
}

impl<T> Begun<T> {
    /// Lets it go on, and waits for what comes of it.
    async fn let_go(mut self) -> T {
        drop(self.held.take());
        timeout(PATIENCE, self.task).await.expect("it comes to an end").unwrap()
    }
}

impl Service {
    /// A request with this token, as a work of its own.
    fn sent(
        self: &Arc<Self>,
        method: Method,
        path: &str,
        by: &str,
        body: Value,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let (service, path, by) = (Arc::clone(self), path.to_owned(), by.to_owned());
        async move { service.json(method, &path, Some(&by), body).await }
    }

    /// A renewal of a token, which gives it more than a day.
    fn renewed(self: &Arc<Self>, token: &Answer, by: &str) -> impl Future<Output = Answer> + Send + use<> {
        let path = format!("/v1/tokens/{}/renew", token.text_of("id"));
        self.sent(Method::POST, &path, by, json!({ "ttl": 100_000 }))
    }

    /// The writing of what is known of the use of tokens.
    fn flushed(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let service = Arc::clone(self);
        async move { service.flush().await }
    }

    /// The row of a token, if it is there.
    async fn row(&self, token: &Answer) -> Option<token::Model> {
        let id: Uuid = token.text_of("id").parse().unwrap();
        token::Entity::find_by_id(id).one(self.app.db.reader()).await.unwrap()
    }

    /// Begins something, and waits until it is held at this point, or over.
    async fn until<T, W>(&self, point: Point, work: W) -> Begun<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let mut held = self.app.db.pauses.hold(point);
        let task = tokio::spawn(work);
        let reaching = async move {
            while !task.is_finished() {
                // Which it may be without ever having come there.
                if let Ok(reached) = timeout(Duration::from_millis(5), held.reached()).await {
                    return Begun { held: reached.then_some(held), task };
                }
            }
            Begun { held: None, task }
        };
        timeout(PATIENCE, reaching).await.unwrap_or_else(|_| panic!("nothing came to {point:?}"))
    }

    /// Begins something, and waits until it is held at this point.
    async fn hold<T, W>(&self, point: Point, work: W) -> Begun<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        // In a box, for a future that awaits another is as large as both: here three times the work.
        let begun = Box::pin(self.until(point, work)).await;
        assert!(begun.held.is_some(), "it was over before it came to {point:?}");
        begun
    }

    /// Begins something that has to wait for a row which somebody else holds, and waits until it does.
    async fn wait<T, W>(&self, work: W) -> Begun<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let task = tokio::spawn(work);
        let waiting = async {
            while !self.somebody_waits().await {
                assert!(!task.is_finished(), "it did not wait");
            }
        };
        timeout(PATIENCE, waiting).await.expect("it waits for a row");
        Begun { held: None, task }
    }

    /// Whether a session on this database waits for a row.
    async fn somebody_waits(&self) -> bool {
        let sql = match self.app.db.engine() {
            Engine::Postgres => {
                "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            }
            Engine::MySql => {
                "SELECT COUNT(*) FROM information_schema.innodb_trx JOIN information_schema.processlist \
                 ON id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND db = DATABASE()"
            }
            Engine::Sqlite => unreachable!("it has one writer: nobody waits for a row"),
        };
        let _turn = TURN.lock().await;
        tokio::time::sleep(Duration::from_millis(110)).await;
        let reader = self.app.db.reader();
        let statement = Statement::from_string(reader.get_database_backend(), sql);
        let row = reader.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index::<i64>(0).unwrap() > 0
    }

    /// Whether only one at a time writes here.
    fn has_one_writer(&self) -> bool {
        self.app.db.engine() == Engine::Sqlite
    }
}
