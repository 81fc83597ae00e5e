//! A fresh database for each test: a file in a temporary folder, or one on the server that the environment names.

use sea_orm::{ConnectionTrait, Database as Connect};
use tempfile::TempDir;
use uuid::Uuid;

/// A database that is empty.
pub struct Database {
    url: String,
    _folder: Option<TempDir>,
}

impl Database {
    pub async fn create() -> Self {
        match std::env::var("DAYPASS_TEST_DATABASE_URL") {
            Ok(server) => Self::on(&server).await,
            Err(_) => Self::in_a_file(),
        }
    }

    /// An `SQLite` file, whatever the environment says.
    pub fn in_a_file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        Self { url, _folder: Some(folder) }
    }

    /// Somebody else's: nothing is to be tidied away.
    pub fn borrowed() -> Self {
        Self { url: String::new(), _folder: None }
    }

    /// The servers are thrown away as a whole after the run, so their databases are not dropped one by one.
    pub async fn on(server: &str) -> Self {
        let name = format!("t{}", Uuid::new_v4().simple());
        let connection = Connect::connect(server).await.expect("the test server answers");
        connection.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        connection.close().await.unwrap();
        let mut url = url::Url::parse(server).unwrap();
        url.set_path(&name);
        Self { url: url.to_string(), _folder: None }
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}
