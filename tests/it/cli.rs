//! The command line.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use daypass::clock::Clock;
use sea_orm::Database as Connect;
use serde_json::Value;

use crate::support::{
    PASSWORD,
    database::Database,
    process::{daypass, run},
    rows,
};

struct Shell {
    folder: tempfile::TempDir,
    url: String,
    _database: Database,
}

impl Shell {
    /// A folder to work in, and a database with a schema.
    async fn new() -> Self {
        let database = Database::create().await;
        let shell = Self { folder: tempfile::tempdir().unwrap(), url: database.url().to_owned(), _database: database };
        shell.ok("migrate up", "");
        shell
    }

    fn run(&self, arguments: &str, input: &str) -> Output {
        let mut command = daypass(self.folder.path());
        run(command.args(arguments.split(' ')).args(["--database-url", &self.url]), input)
    }

    /// Runs a command that must succeed; what it printed.
    #[track_caller]
    fn ok(&self, arguments: &str, input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, arguments: &str, input: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{arguments} --json"), input)).unwrap()
    }

    /// Runs a command that must fail with this exit code; why it said it did.
    #[track_caller]
    fn fails(&self, code: i32, arguments: &str, input: &str) -> String {
        let output = self.run(arguments, input);
        let why = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {why}");
        why
    }
}

/// As `daypass openapi | head` does: what is printed is more than a pipe holds.
#[test]
fn who_has_read_enough_may_stop_reading() {
    let folder = tempfile::tempdir().unwrap();
    let mut child =
        daypass(folder.path()).arg("openapi").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(141), ""));
}

#[test]
fn what_cannot_be_printed_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["openapi", "completions bash"] {
        let why = to_a_full_disk(daypass(folder.path()).args(command.split(' ')));
        assert!(why.starts_with("daypass: cannot write to standard output: No space left"), "{why}");
    }
}

/// Why a command fails whose output cannot be written.
fn to_a_full_disk(command: &mut std::process::Command) -> String {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    let why = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{why}");
    why
}

#[tokio::test]
async fn a_secret_that_could_not_be_printed_is_told_of() {
    let shell = Shell::new().await;
    shell.ok("user add alice --password-stdin", PASSWORD);
    let mut issue = daypass(shell.folder.path());
    let why = to_a_full_disk(issue.args(["token", "issue", "--user", "alice", "--database-url", &shell.url]));
    let listed = shell.json("token list --user alice", "");
    let id = listed[0]["id"].as_str().unwrap();
    assert!(why.starts_with(&format!("{id}: keep the secret, it is not shown again\n")), "{why}");
    shell.ok(&format!("token revoke {id}"), "");
}

#[tokio::test]
async fn users_are_made_listed_changed_and_deleted() {
    let shell = Shell::new().await;
    let made = shell.json("user add Alice --scope read --scope write --password-stdin", &format!("{PASSWORD}\n"));
    assert_eq!((&made["username"], &made["scopes"][1]), (&"Alice".into(), &"write".into()));
    shell.ok("user add bob --admin --password-stdin", PASSWORD);
    assert_eq!(shell.json("user list", "").as_array().unwrap().len(), 2);
    assert!(shell.ok("user list", "").contains("daypass:admin"));
    assert_eq!(shell.json("user disable alice", "")["disabled"], true);
    assert_eq!(shell.json("user enable alice", "")["disabled"], false);
    shell.ok("user passwd alice --password-stdin", "another fine long phrase\n");
    shell.ok("user delete ALICE", "");
    assert_eq!(shell.json("user list", "").as_array().unwrap().len(), 1);
    assert!(shell.fails(1, "user disable alice", "").contains("there is no such user"));
    assert!(shell.fails(1, "user add BOB --password-stdin", PASSWORD).contains("already a user"));
    assert!(shell.fails(2, "user add carol --password-stdin", "password123").contains("most common"));
    assert!(shell.fails(2, "user add carol", "").contains("--password-stdin"));
    assert!(shell.fails(2, "user add carol --scope a\"b --password-stdin", PASSWORD).contains("scope"));
    assert!(shell.fails(2, "user add bad/name --password-stdin", PASSWORD).contains("username"));
    assert!(shell.fails(1, "user disable bad/name", "").contains("there is no such user"));
}

#[tokio::test]
async fn tokens_are_issued_checked_listed_and_revoked() {
    let shell = Shell::new().await;
    shell.ok("user add alice --scope read --scope write --password-stdin", PASSWORD);
    let printed = shell.ok("token issue --user alice --name laptop --ttl 90d --idle-timeout 30m --scope read", "");
    let token = printed.trim_end();
    assert!(token.starts_with("dpk_") && token.len() == 64 && printed == format!("{token}\n"), "{printed}");
    let checked = shell.json("token check", &printed);
    assert_eq!((&checked[0]["name"], &checked[0]["scopes"][0]), (&"laptop".into(), &"read".into()));
    let id = checked[0]["id"].as_str().unwrap();
    assert_eq!(shell.json("token list --user alice --state active", "")[0]["id"], id);
    assert!(shell.ok(&format!("token show {id}"), "").contains("laptop"));
    assert!(!shell.ok("token list", "").contains(token));
    shell.ok(&format!("token revoke {id}"), "");
    assert!(shell.fails(1, "token check", token).contains("revoked"));
    assert!(shell.fails(1, "token check", "nonsense").contains("malformed or unknown"));
    assert_eq!(shell.json("token list --state active", ""), Value::Array(vec![]));
    assert!(shell.fails(1, "token issue --user alice --scope admin", "").contains("scopes"));
    assert!(shell.fails(2, "token issue --user alice --scope a\"b", "").contains("scope"));
    assert!(shell.fails(2, "token issue --user alice --ttl 9000d", "").contains("ttl"));
    assert!(shell.fails(2, "token issue --user alice --ttl 1500ms", "").contains("whole seconds"));
    assert!(shell.fails(2, "token issue --user alice --idle-timeout 60500ms", "").contains("whole seconds"));
    assert!(shell.fails(2, "token list --state dead", "").contains("revoked"));
    assert!(shell.ok("token list --state revoked", "").contains("api   revoked  alice"));
    shell.fails(2, "token issue --user alice --ttl soon", "");
    shell.fails(2, "token show not-an-id", "");
}

#[tokio::test]
async fn clients_are_made_listed_rotated_and_deleted() {
    let shell = Shell::new().await;
    let printed = shell.ok("client add billing --scope read --scope write --grant client_credentials", "");
    let lines: Vec<_> = printed.lines().map(|line| line.split_once('=').unwrap()).collect();
    let [("client_id", id), ("client_secret", secret)] = lines[..] else { panic!("{printed}") };
    assert_eq!((id.len(), secret.len()), (22, 43));
    let made = shell.json("client add reports", "");
    assert_eq!(made["grants"], serde_json::json!(["client_credentials", "refresh_token"]));
    assert_eq!(made["client_secret"].as_str().unwrap().len(), 43);
    let listed = shell.json("client list", "");
    assert_eq!((&listed[0]["name"], &listed[1]["client_id"]), (&"reports".into(), &id.into()));
    assert!(listed[0].get("client_secret").is_none());
    let table = shell.ok("client list", "");
    assert!(table.contains("  read write\n") && !table.contains(secret), "{table}");
    let rotated = shell.json(&format!("client rotate {id} --overlap 1d"), "");
    assert!(rotated["client_secret"] != secret && rotated["previous_secret_expires_at"].is_string(), "{rotated}");
    assert!(shell.ok(&format!("client rotate {id}"), "").starts_with(&format!("client_id={id}\nclient_secret=")));
    assert_eq!(shell.json(&format!("client disable {id}"), "")["disabled"], true);
    assert_eq!(shell.json(&format!("client enable {id}"), "")["disabled"], false);
    shell.ok(&format!("client delete {id}"), "");
    assert_eq!(shell.json("client list", "").as_array().unwrap().len(), 1);
    for command in ["rotate", "disable", "enable", "delete"] {
        assert!(shell.fails(1, &format!("client {command} {id}"), "").contains("there is no such client"));
    }
    assert!(
        shell.fails(2, "client add x --grant implicit", "").contains("client_credentials, password, refresh_token")
    );
    assert!(shell.fails(2, "client add x --grant password", "").contains("oauth.password_grant"));
    assert!(shell.fails(2, "client add x --scope a\"b", "").contains("scope"));
    assert!(shell.fails(2, &format!("client rotate {id} --overlap 8d"), "").contains("overlap"));
}

#[tokio::test]
async fn the_schema_goes_up_and_down() {
    let shell = Shell::new().await;
    assert!(shell.ok("migrate status", "").lines().skip(1).all(|line| line.ends_with("applied")));
    assert!(shell.fails(2, "migrate down", "").contains("--yes"));
    shell.ok("migrate down --yes", "");
    assert!(shell.fails(1, "user list", "").contains("daypass migrate up"));
    let steps = shell.json("migrate status", "");
    assert_eq!(steps.as_array().unwrap().last().unwrap()["applied"], false);
    shell.ok("migrate up", "");
    shell.ok("user add alice --password-stdin", PASSWORD);
    shell.ok("migrate fresh --yes", "");
    assert_eq!(shell.json("user list", ""), Value::Array(vec![]));
}

#[tokio::test]
async fn a_purge_says_what_it_did_or_would_do() {
    let shell = Shell::new().await;
    assert!(shell.ok("purge --dry-run", "").starts_with("would delete 0 expired and 0 revoked tokens\n"));
    assert_eq!(shell.json("purge --dry-run", "")["now"]["expired"], 0);
    assert!(shell.ok("purge", "").starts_with("deleted 0 expired and 0 revoked tokens in "));
    let run = shell.json("purge", "");
    assert_eq!((&run["outcome"], &run["trigger"]), (&"done".into(), &"cli".into()));
}

/// `script` gives it a terminal; it comes with every Debian.
#[tokio::test]
async fn a_purge_draws_a_bar_on_a_terminal_and_none_elsewhere() {
    let shell = Shell::new().await;
    let stale = async || {
        let db = Connect::connect(&shell.url).await.unwrap();
        rows::fill(&db, Clock::System.now(), 3000, 10).await;
    };
    stale().await;
    let purge = format!("{} purge --database-url '{}'", env!("CARGO_BIN_EXE_daypass"), shell.url);
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &purge, "/dev/null"]).current_dir(shell.folder.path());
    script.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = run(script.env("TERM", "xterm").env("COLUMNS", "120"), "");
    let drawn = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{drawn}");
    assert!(drawn.contains("/3,000 tokens") && drawn.contains("/s") && drawn.contains(" left"), "{drawn}");
    assert!(drawn.contains("deleted 3000 expired and 0 revoked tokens"), "{drawn}");

    stale().await;
    let output = shell.run("purge", "");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "what takes less than five seconds needs no lines");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("deleted 3000 expired and 0 revoked tokens"));
}

fn plain(folder: &Path, arguments: &[&str]) -> Output {
    run(daypass(folder).args(arguments), "")
}

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let mut commands: Vec<Vec<&str>> =
        ["serve", "purge", "openapi", "config", "completions"].map(|name| vec![name]).into();
    for (group, names) in [
        ("user", &["add", "list", "passwd", "disable", "enable", "delete"][..]),
        ("token", &["issue", "list", "show", "revoke", "check"]),
        ("client", &["add", "list", "rotate", "disable", "enable", "delete"]),
        ("migrate", &["up", "down", "status", "fresh"]),
    ] {
        commands.push(vec![group]);
        commands.extend(names.iter().map(|name| vec![group, *name]));
    }
    for command in commands {
        let output = plain(folder.path(), &[&command[..], &["--help"]].concat());
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && help.contains("Example: "), "{command:?}: {help}");
    }
}

#[test]
fn bad_usage_is_told_from_failure() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(plain(folder.path(), &["nonsense"]).status.code(), Some(2));
    assert_eq!(plain(folder.path(), &["user", "list", "--config", "nowhere.toml"]).status.code(), Some(2));
    let unreachable = plain(folder.path(), &["user", "list", "--database-url", "postgres://nobody@127.0.0.1:1/x"]);
    assert_eq!(unreachable.status.code(), Some(1));
    let nowhere = plain(folder.path(), &["user", "list", "--database-url", "sqlite://no/such/folder/x.db"]);
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("no/such/folder/x.db"));
}

#[test]
fn the_effective_configuration_is_shown_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("daypass.toml"), "[maintenance]\nretain_expired = \"2d\"\n").unwrap();
    let mut command = daypass(folder.path());
    command.env("DAYPASS_DATABASE_URL", "postgres://daypass:hunter2@db/daypass").env("DAYPASS_ADMIN_PASSWORD", "x");
    let output = run(command.args(["config"]), "");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("retain_expired = \"2d\"  # daypass.toml"), "{shown}");
    assert!(shown.contains("database_url = \"postgres://daypass:***@db/daypass\"  # environment DAYPASS_DATABASE_URL"));
    assert!(!shown.contains("hunter2"));
    toml::from_str::<toml::Table>(&shown).unwrap();
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in [
        ("[maintenance]\nbatchsize = 5\n", "did you mean `batch_size`?"),
        ("[tokens.session]\nttl = \"soon\"\n", "tokens.session.ttl must be"),
        ("[maintenance]\npurge_schedule = \"0 0 0 31 2 *\"\n", "it never comes"),
        ("[maintenance]\npurge_schedule = \"tomorrow\"\n", "maintenance.purge_schedule must be a cron expression"),
        ("listen = 5\n", "listen must be"),
    ] {
        std::fs::write(folder.path().join("daypass.toml"), text).unwrap();
        for command in ["serve", "config"] {
            let output = plain(folder.path(), &[command]);
            let why = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(2) && why.contains(said), "{text}: {why}");
            assert!(why.contains("daypass.toml, line "), "{why}");
        }
    }
}

#[test]
fn a_variable_that_is_no_text_is_named_and_not_shown() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let folder = tempfile::tempdir().unwrap();
    for name in ["DAYPASS_LISTEN", "DAYPASS_ADMIN_PASSWORD"] {
        let mut command = daypass(folder.path());
        let output = run(command.env(name, OsStr::from_bytes(b"hunter2\xff")).args(["serve"]), "");
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && why.contains(name) && !why.contains("hunter2"), "{why}");
    }
}

#[test]
fn documents_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    // Not compared by assert_eq, which would print both.
    assert!(plain(folder.path(), &["openapi"]).stdout == daypass::api::openapi::json().as_bytes());
    let yaml = plain(folder.path(), &["openapi", "--format", "yaml"]).stdout;
    assert!(yaml == daypass::api::openapi::yaml().as_bytes());
    let script = String::from_utf8(plain(folder.path(), &["completions", "bash"]).stdout).unwrap();
    assert!(script.contains("complete -F _daypass"));
}

/// A flag that stands before a command must not be lost, and not mean something else.
#[tokio::test]
async fn flags_of_serve_before_another_command_are_bad_usage() {
    let shell = Shell::new().await;
    for flags in ["--listen 127.0.0.1:0", "--no-migrate", "--insecure-plain-http"] {
        assert!(shell.fails(2, &format!("{flags} user list"), "").contains("daypass serve"));
    }
    let empty = Database::in_a_file();
    let mut command = daypass(shell.folder.path());
    let refused = run(command.args(["--no-migrate", "serve", "--database-url", empty.url()]), "");
    assert_eq!(refused.status.code(), Some(1), "it was migrated all the same");
    let refused = run(daypass(shell.folder.path()).args(["--listen", "nowhere", "serve"]), "");
    assert!(String::from_utf8(refused.stderr).unwrap().contains("flag --listen"));
}

#[tokio::test]
async fn what_is_printed_can_be_had_as_json() {
    let shell = Shell::new().await;
    shell.ok("user add alice --password-stdin", PASSWORD);
    let issued = shell.json("token issue --user alice --ttl 90s", "");
    assert_eq!(issued["expires_in"], 90);
    assert!(shell.ok("token check", issued["token"].as_str().unwrap()).contains("alice"));
    assert_eq!(shell.json("config", "")["tokens"]["session"]["ttl"], "10h");
}
