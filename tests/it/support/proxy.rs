//! A way to a database that can be cut, slow or silent.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::{self, sleep},
    time::Duration,
};

/// What becomes of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Pass,
    /// Each piece waits for so long.
    Slow(Duration),
    /// Connections are closed, and new ones too.
    Cut,
    /// Everything is swallowed, and connections stay open; those that were there meanwhile are dead for ever, as behind a
    /// firewall that forgot them.
    Silent,
}

/// A proxy in front of a server.
pub struct Proxy {
    pub address: SocketAddr,
    way: Arc<Mutex<Way>>,
    open: Arc<()>,
}

/// How often a connection that has nothing to do looks which way it is.
const LOOK: Duration = Duration::from_millis(20);

impl Proxy {
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            way: Arc::new(Mutex::new(Way::Pass)),
            open: Arc::default(),
        };
        let (way, open) = (Arc::clone(&proxy.way), Arc::downgrade(&proxy.open));
        thread::spawn(move || {
            while open.strong_count() > 0 {
                match listener.accept() {
                    Ok((client, _)) => connection(&client, server, &way),
                    Err(_) => sleep(LOOK),
                }
            }
        });
        proxy
    }

    pub fn set(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Way::Cut);
    }
}

fn connection(client: &TcpStream, server: SocketAddr, way: &Arc<Mutex<Way>>) {
    client.set_nonblocking(false).unwrap();
    let Ok(server) = TcpStream::connect(server) else { return };
    let dead = Arc::new(Mutex::new(false));
    for (from, to) in [(client, &server), (&server, client)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let (way, dead) = (Arc::clone(way), Arc::clone(&dead));
        thread::spawn(move || {
            pump(&from, &to, &way, &dead);
            drop(from.shutdown(Shutdown::Both));
            drop(to.shutdown(Shutdown::Both));
        });
    }
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, way: &Mutex<Way>, dead: &Mutex<bool>) {
    from.set_read_timeout(Some(LOOK)).unwrap();
    let mut piece = [0; 16 * 1024];
    loop {
        let read = match from.read(&mut piece) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Ok(length) if length > 0 => Some(length),
            Ok(_) | Err(_) => return,
        };
        let way = *way.lock().unwrap();
        let mut dead = dead.lock().unwrap();
        *dead |= way == Way::Silent;
        match (way, read) {
            (Way::Cut, _) => return,
            (_, Some(length)) if !*dead => {
                drop(dead);
                if let Way::Slow(delay) = way {
                    sleep(delay);
                }
                if to.write_all(&piece[..length]).is_err() {
                    return;
                }
            }
            _ => {}
        }
    }
}
