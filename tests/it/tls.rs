//! HTTPS, before clients that do not share our library for it: curl and openssl.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use daypass::clock::Clock;
use serde_json::{Value, json};

use crate::support::{
    PASSWORD,
    process::{Served, daypass, run},
};

/// Longer than the service takes to notice that files have changed: it looks every two seconds, and wants them to rest.
const NOTICED: Duration = Duration::from_secs(7);

fn openssl(folder: &Path, arguments: &str) -> Output {
    let output = run(Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder), "");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Makes `NAME.crt` and `NAME.key`; the certificate is its own root, valid for 127.0.0.1, and calls itself by that name.
fn make(folder: &Path, name: &str, days: u32) {
    let arguments = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {days} -subj /CN={name} \
         -addext subjectAltName=IP:127.0.0.1 -keyout {name}.key -out {name}.crt"
    );
    openssl(folder, &arguments);
    fs::set_permissions(folder.join(format!("{name}.key")), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A service with a certificate called `first`, in the files `served.crt` and `served.key`.
fn start(folder: &Path) -> Served {
    make(folder, "first", 30);
    put(folder, "first.crt", "served.crt");
    put(folder, "first.key", "served.key");
    Served::start(folder, configured(folder).env("DAYPASS_ADMIN_PASSWORD", PASSWORD))
}

fn configured(folder: &Path) -> Command {
    let mut command = daypass(folder);
    command.env("DAYPASS_TLS__CERTIFICATE", "served.crt").env("DAYPASS_TLS__KEY", "served.key");
    command
}

/// Puts a file in the place of another at once, as whoever renews certificates does.
fn put(folder: &Path, from: &str, to: &str) {
    fs::copy(folder.join(from), folder.join("new")).unwrap();
    fs::rename(folder.join("new"), folder.join(to)).unwrap();
}

/// What curl makes of it, with `NAME.crt` as the only root.
fn curl(folder: &Path, served: &Served, root: &str, path: &str, arguments: &[&str]) -> Output {
    let url = format!("https://{}{path}", served.address);
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--cacert", &format!("{root}.crt"), &url]);
    run(command.args(arguments).current_dir(folder), "")
}

/// What openssl says of a handshake.
fn handshake(served: &Served, arguments: &[&str]) -> String {
    let mut command = Command::new("openssl");
    let output = run(command.args(["s_client", "-connect", &served.address.to_string()]).args(arguments), "");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Whose certificate a new connection gets.
fn presented(served: &Served) -> String {
    let told = handshake(served, &[]);
    let subject =
        told.lines().find_map(|line| line.trim().strip_prefix("subject=")).unwrap_or_else(|| panic!("{told}"));
    subject.replace(' ', "").replace("CN=", "")
}

/// A connection that stays open, in the hands of `openssl s_client`.
struct Open {
    client: Child,
    pieces: Receiver<String>,
}

impl Open {
    fn new(served: &Served) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-connect", &served.address.to_string()]);
        let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (found, pieces) = mpsc::channel();
        let mut output: ChildStdout = client.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                drop(found.send(String::from_utf8_lossy(&piece[..length]).into_owned()));
            }
        });
        Self { client, pieces }
    }

    fn send(&mut self, text: &str) {
        self.client.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Reads until there is this; or panics.
    fn expect(&self, text: &str) -> String {
        let mut read = String::new();
        while !read.contains(text) {
            let piece = self.pieces.recv_timeout(Duration::from_secs(20));
            read.push_str(&piece.unwrap_or_else(|_| panic!("{text} did not come: {read}")));
        }
        read
    }

    fn ask_whether_it_is_up(&mut self) {
        self.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(self.expect("{\"status\":\"ok\"}").starts_with("HTTP/1.1 200"));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        drop(self.client.kill());
        drop(self.client.wait());
    }
}

#[test]
fn a_client_logs_in_and_checks_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let served = start(folder);
    let login = json!({ "username": "admin", "password": PASSWORD }).to_string();
    let json_body = ["--header", "Content-Type: application/json", "--data", &login];
    let answer: Value =
        serde_json::from_slice(&curl(folder, &served, "first", "/v1/login", &json_body).stdout).unwrap();
    let bearer = format!("Authorization: Bearer {}", answer["token"].as_str().unwrap());
    let check = curl(folder, &served, "first", "/v1/check", &["--include", "--header", &bearer]);
    let check = String::from_utf8(check.stdout).unwrap();
    assert!(check.starts_with("HTTP/1.1 200") && check.contains("remote-user: admin"), "{check}");
    // The whole of a large answer, too.
    let document = curl(folder, &served, "first", "/openapi.json", &[]);
    assert!(serde_json::from_slice::<Value>(&document.stdout).unwrap()["paths"].is_object());
    // Whoever trusts somebody else gets nothing.
    make(folder, "stranger", 30);
    let refused = curl(folder, &served, "stranger", "/healthz", &[]);
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    let said = served.stderr();
    assert!(said.contains("\"tls\":true") && said.contains("served.crt"), "{said}");
    assert!(!said.contains("PRIVATE KEY") && !said.contains("may be read by every user"), "{said}");
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let told = handshake(&served, &[version, "-alpn", "h2,http/1.1"]);
        assert!(told.contains(name) && told.contains("ALPN protocol: http/1.1"), "{told}");
    }
    // openssl itself offers the old ones at its lowest level only; it is the service that declines.
    for version in ["-tls1", "-tls1_1"] {
        let told = handshake(&served, &[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
        let declined = ["SSL alert number 40", "SSL alert number 70"].iter().any(|alert| told.contains(alert));
        assert!(declined && told.contains("no peer certificate available"), "{told}");
    }
    let told = handshake(&served, &["-alpn", "h2"]);
    assert!(told.contains("alert no application protocol"), "{told}");
}

#[test]
fn plain_http_is_no_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let served = start(folder.path());
    for text in
        ["GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0", "\u{16}\u{3}\u{1}"]
    {
        let mut stream = served.connect();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        // Nothing, or an alert of TLS, which has seven bytes.
        assert!(answer.is_empty() || (answer[0] == 0x15 && answer.len() == 7), "{answer:?}");
    }
    assert!(curl(folder.path(), &served, "first", "/healthz", &["--fail"]).status.success());
}

/// Half a handshake takes a place among the connections, and no longer than a request may take to begin.
#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), "first", 30);
    put(folder.path(), "first.crt", "served.crt");
    put(folder.path(), "first.key", "served.key");
    let served = Served::start(folder.path(), configured(folder.path()).env("DAYPASS_LIMITS__MAX_CONNECTIONS", "10"));
    assert!(curl(folder.path(), &served, "first", "/healthz", &["--fail"]).status.success());
    let began = Instant::now();
    let mut open: Vec<_> = (0..10).map(|_| served.connect()).collect();
    for stream in &mut open {
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    }
    // This one waits for a place.
    assert!(curl(folder.path(), &served, "first", "/healthz", &["--fail"]).status.success());
    for stream in &mut open {
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
    let seconds = began.elapsed().as_secs();
    assert!((8..15).contains(&seconds), "it was open for {seconds} s");
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let served = start(folder);
    let mut old = Open::new(&served);
    old.ask_whether_it_is_up();
    make(folder, "second", 60);
    // Between the two the certificate and the key are no pair, for as long as this takes.
    put(folder, "second.crt", "served.crt");
    let refusal = "\\\"served.key\\\" is not the key of the first certificate in tls.certificate = \\\"served.crt\\\"";
    served.until(|| served.stderr().contains(refusal).then_some(()));
    assert_eq!(presented(&served), "first");
    assert!(curl(folder, &served, "first", "/healthz", &["--fail"]).status.success());
    put(folder, "second.key", "served.key");
    served.until(|| (presented(&served) == "second").then_some(()));
    assert!(curl(folder, &served, "second", "/healthz", &["--fail"]).status.success());
    assert!(!curl(folder, &served, "first", "/healthz", &["--fail"]).status.success());
    old.ask_whether_it_is_up();
    assert_eq!(served.stderr().matches("was not replaced").count(), 1, "{}", served.stderr());
}

#[test]
fn what_cannot_be_served_is_refused_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let served = start(folder);
    make(folder, "second", 60);
    fs::write(folder.join("served.key"), "nonsense").unwrap();
    served.until(|| served.stderr().contains("\\\"served.key\\\" holds no private key in PEM").then_some(()));
    fs::remove_file(folder.join("served.crt")).unwrap();
    served.until(|| served.stderr().contains("\\\"served.crt\\\" cannot be read: No such file").then_some(()));
    fs::write(folder.join("served.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    put(folder, "second.key", "served.key");
    served.until(|| served.stderr().contains("something that is no certificate").then_some(()));
    assert_eq!(presented(&served), "first");
    std::thread::sleep(NOTICED);
    assert_eq!(served.stderr().matches("was not replaced").count(), 3, "each is said once: {}", served.stderr());
    put(folder, "second.crt", "served.crt");
    served.until(|| (presented(&served) == "second").then_some(()));
}

#[test]
fn the_signal_to_stop_lets_a_request_in_tls_finish() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = start(folder.path());
    let (mut busy, mut idle) = (Open::new(&served), Open::new(&served));
    idle.ask_whether_it_is_up();
    let body = json!({ "username": "admin", "password": PASSWORD }).to_string();
    let (first, rest) = body.split_at(10);
    busy.send(&format!(
        "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    ));
    // The service has the request's head, and waits for the body, before it has the signal.
    busy.expect("HTTP/1.1 100 Continue\r\n\r\n");
    busy.send(first);
    served.signal("TERM");
    served.until(|| std::net::TcpStream::connect(served.address).is_err().then_some(()));
    busy.send(rest);
    let answer = busy.expect("\"expires_in\"");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert!(served.wait().success(), "{}", served.stderr());
    assert!(idle.pieces.recv_timeout(Duration::from_secs(5)).is_err(), "nothing but the end");
}

#[test]
fn without_a_pair_that_works_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    make(folder, "first", 30);
    make(folder, "other", 30);
    openssl(folder, "pkcs8 -topk8 -in first.key -out locked.key -passout pass:violet");
    openssl(folder, "ecparam -name secp256k1 -genkey -noout -out strange.key");
    fs::write(folder.join("junk.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for (certificate, key, reasons) in [
        ("none.crt", "first.key", ["tls.certificate = \"none.crt\" cannot be read", "No such file"]),
        ("first.crt", "none.key", ["tls.key = \"none.key\" cannot be read", "No such file"]),
        (".", "first.key", ["tls.certificate = \".\" cannot be read", "directory"]),
        ("first.key", "first.key", ["tls.certificate = \"first.key\" holds no certificate", "BEGIN CERTIFICATE"]),
        ("junk.crt", "first.key", ["tls.certificate = \"junk.crt\"", "no certificate"]),
        ("first.crt", "first.crt", ["tls.key = \"first.crt\" holds no private key", "PEM"]),
        ("first.crt", "locked.key", ["tls.key = \"locked.key\" holds no private key", "needs no password"]),
        ("first.crt", "strange.key", ["tls.key = \"strange.key\"", "cannot be used"]),
        ("first.crt", "other.key", ["tls.key = \"other.key\" is not the key", "tls.certificate = \"first.crt\""]),
        ("first.crt", "", ["tls.key must be the path of a file", "tls.certificate is set"]),
    ] {
        let mut command = daypass(folder);
        command.env("DAYPASS_TLS__CERTIFICATE", certificate).env("DAYPASS_TLS__KEY", key);
        let refused = run(command.env("DAYPASS_LISTEN", "127.0.0.1:0"), "");
        let why = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{why}");
        assert!(reasons.iter().all(|reason| why.contains(reason)), "{certificate}, {key}: {why}");
        assert!(!folder.join("daypass.db").exists(), "nothing was touched");
    }
}

#[test]
fn others_may_be_listened_to_with_tls_only() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    make(folder, "first", 30);
    // An address that no machine has: it is not listened on, but for another reason.
    let serve = |command: &mut Command| {
        let output = run(command.args(["serve", "--listen", "192.0.2.1:8000"]), "");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, why) = serve(&mut daypass(folder));
    assert!(code == Some(2) && why.contains("tls.certificate"), "{why}");
    put(folder, "first.crt", "served.crt");
    put(folder, "first.key", "served.key");
    let (code, why) = serve(&mut configured(folder));
    assert!(code == Some(1) && why.contains("cannot listen on 192.0.2.1:8000"), "{why}");
}

#[test]
fn a_key_that_others_may_read_and_a_certificate_that_ends_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let served = start(folder);
    let metrics = curl(folder, &served, "first", "/metrics", &[]);
    let days_left = |metrics: &str| {
        let name = "daypass_tls_certificate_not_after_timestamp_seconds ";
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{metrics}"));
        // To the next whole one, for the clock went on a little.
        (value.parse::<i64>().unwrap() - Clock::System.now().millis() / 1000 + 43_200) / 86_400
    };
    assert_eq!(days_left(&String::from_utf8(metrics.stdout).unwrap()), 30);

    make(folder, "second", 60);
    fs::set_permissions(folder.join("second.key"), fs::Permissions::from_mode(0o644)).unwrap();
    put(folder, "second.crt", "served.crt");
    put(folder, "second.key", "served.key");
    served.until(|| served.stderr().contains("tls.key may be read by every user").then_some(()));
    let metrics = curl(folder, &served, "second", "/metrics", &[]);
    assert_eq!(days_left(&String::from_utf8(metrics.stdout).unwrap()), 60);
    assert!(!served.stderr().contains("has expired"));
}
