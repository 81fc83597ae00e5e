//! `examples/remote.rs` over HTTPS, with a certificate of one's own.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    process::Served,
    remote::{daypass_and_client, remote},
    service::{is, issue, orders},
};

/// What speaks TLS in front of a Daypass.
struct Front {
    child: Child,
    port: u16,
}

impl Front {
    fn start(folder: &Path, daypass: &Served) -> Self {
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guard/tls.py")).current_dir(folder);
        command.args(["certificate.pem", "key.pem", &daypass.address.port().to_string()]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it needs python3");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, port: port.trim().parse().unwrap() }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn make_certificate(folder: &Path, name: &str) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    command.args(["-keyout", "key.pem", "-out", "certificate.pem", "-days", "2", "-subj", "/CN=test"]);
    // One that signs itself is its own authority, and no authority to others.
    command.args(["-addext", &format!("subjectAltName=DNS:{name}"), "-addext", "basicConstraints=critical,CA:FALSE"]);
    assert!(command.stderr(Stdio::null()).status().expect("it needs openssl").success());
}

#[test]
fn a_certificate_is_believed_only_of_a_trusted_issuer_and_for_its_name() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (daypass, id, secret) = daypass_and_client(folder.path());
    let token = issue(folder.path(), &["--scope", "orders:read"]);
    let asked = |certified: &str, trusted: bool| {
        make_certificate(folder.path(), certified);
        let front = Front::start(folder.path(), &daypass);
        let mut command = remote(own.path(), &format!("https://localhost:{}", front.port), &id, &secret);
        let roots = if trusted { folder.path().join("certificate.pem") } else { other_roots(own.path()) };
        let served = Served::start(own.path(), command.env("SSL_CERT_FILE", roots));
        orders(&served, &token)
    };
    is(&asked("localhost", true), 200, &["Orders of alice"]);
    is(&asked("localhost", false), 503, &["retry-after: 1\r\n"]);
    is(&asked("id.example.org", true), 503, &["retry-after: 1\r\n"]);
}

fn other_roots(folder: &Path) -> std::path::PathBuf {
    make_certificate(folder, "localhost");
    folder.join("certificate.pem")
}
