//! The program as a person starts it: a process, its output, and requests over a real socket.

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// How long anything here may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command in this folder, with an environment that only has what is given here.
pub fn daypass(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daypass"));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command.env("DAYPASS_PASSWORDS__MEMORY_KIB", "8").env("DAYPASS_PASSWORDS__ITERATIONS", "1");
    // No load balancer is here that had to hear of a stop.
    command.env("DAYPASS_SHUTDOWN_DELAY", "0s");
    command
}

/// Runs a command to its end, with this on its standard input.
pub fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that fails at once may close its input before it was read.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

/// A running service.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
    folder: PathBuf,
}

impl Served {
    /// Starts `daypass`, or a program that listens where `LISTEN` says, in this folder on a free port and waits until it
    /// answers. What it prints goes to files there.
    pub fn start(folder: &Path, command: &mut Command) -> Self {
        let address = free_address();
        let out = File::create(folder.join("stdout")).unwrap();
        let err = File::options().create(true).append(true).open(folder.join("stderr")).unwrap();
        command.env("DAYPASS_LISTEN", address.to_string()).env("LISTEN", address.to_string());
        let child = command.stdout(out).stderr(err).spawn().unwrap();
        let mut served = Self { child, address, folder: folder.to_owned() };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = served.child.try_wait().unwrap() {
                panic!("it ended with {status}: {}", served.stderr());
            }
            assert!(began.elapsed() < PATIENCE, "it does not listen: {}", served.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
        served
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.folder.join("stdout")).unwrap()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.join("stderr")).unwrap()
    }

    /// Sends a request over a connection of its own, and reads until the service closes it.
    pub fn request(&self, head: &str, body: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "{head}\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub fn post_json(&self, path: &str, body: &serde_json::Value) -> String {
        self.request(&format!("POST {path} HTTP/1.1\r\nContent-Type: application/json"), &body.to_string())
    }

    /// Asks again and again until there is an answer.
    pub fn until<T>(&self, mut ask: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "it never came: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// How much memory the process holds.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Sends a signal, by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Whether all of it stands still, by that signal.
    pub fn is_stopped(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        status.contains("\nState:\tT")
    }

    /// Lets it write files up to so many bytes, or `unlimited`.
    pub fn limit_files(&self, size: &str) {
        let (process, limit) = (self.child.id().to_string(), format!("--fsize={size}:"));
        let status = Command::new("prlimit").args(["--pid", &process, &limit]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Each is told once, for it is free until who asked listens there. They lie below those that the system gives to whoever asks for
/// any, and begin elsewhere in each process: nobody else is given one meanwhile.
fn free_address() -> SocketAddr {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = process::id() * 997 + TOLD.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_000 + next % 20_000).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The body of an answer, as JSON.
pub fn json_of(answer: &str) -> serde_json::Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}
