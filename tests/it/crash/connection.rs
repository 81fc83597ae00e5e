//! A connection that is kept, and may break at any moment.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::support::process::Served;

/// A client's connection.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn open(served: &Served) -> Self {
        let stream = served.connect();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends JSON with a token. An error where the service went away before all of the answer was there.
    pub fn ask(&mut self, line: &str, token: &str, body: &str) -> io::Result<(u16, Value)> {
        self.send(line, &format!("Authorization: Bearer {token}\r\nContent-Type: application/json"), body)
    }

    /// Trades a refresh token that is bound to no client.
    pub fn trade(&mut self, refresh: &str) -> io::Result<(u16, Value)> {
        let form = format!("grant_type=refresh_token&refresh_token={refresh}");
        self.send("POST /oauth/token", "Content-Type: application/x-www-form-urlencoded", &form)
    }

    fn send(&mut self, line: &str, headers: &str, body: &str) -> io::Result<(u16, Value)> {
        let length = body.len();
        write!(
            self.0.get_mut(),
            "{line} HTTP/1.1\r\nHost: test\r\n{headers}\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(told) = line.strip_prefix("content-length: ") {
                length = told.parse().unwrap();
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}
