//! A database server of a test's own, which it may kill.

use std::{path::Path, process::Command};

use tempfile::TempDir;

/// A server of the kind that the suite runs on.
pub struct Server {
    engine: &'static str,
    folder: TempDir,
    pub url: String,
}

impl Server {
    /// None where the suite runs on `SQLite`.
    pub fn start() -> Option<Self> {
        let url = std::env::var("DAYPASS_TEST_DATABASE_URL").ok()?;
        let engine = if url.starts_with("postgres:") { "postgres" } else { "mariadb" };
        let folder = tempfile::tempdir().unwrap();
        let url = script(engine, "start", folder.path());
        Some(Self { engine, folder, url: url.trim().to_owned() })
    }

    pub fn is_postgres(&self) -> bool {
        self.engine == "postgres"
    }

    /// `kill`, `stop` or `again`.
    pub fn does(&self, what: &str) {
        script(self.engine, what, self.folder.path());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/server.sh");
        drop(Command::new(script).args([self.engine, "kill"]).arg(self.folder.path()).output());
    }
}

fn script(engine: &str, what: &str, folder: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/server.sh");
    let output = Command::new(script).args([engine, what]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{what} {engine}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
