//! A poem service that asks a Daypass elsewhere whether tokens work.
//!
//! ```sh
//! daypass client add orders --scope daypass:introspect
//! export DAYPASS_URL=http://127.0.0.1:8000 DAYPASS_CLIENT_ID=… DAYPASS_CLIENT_SECRET=…
//! cargo run --example remote --features remote
//! curl http://127.0.0.1:3000/orders -H "Authorization: Bearer $(daypass token issue --user alice --scope orders:read)"
//! ```

use std::env;

use daypass::guard::{Caller, Guard, Remote, Settings};
use poem::{EndpointExt, Route, Server, get, handler, listener::TcpListener};

#[handler]
fn hello() -> &'static str {
    "Anybody may read this.\n"
}

#[handler]
fn orders(caller: Caller) -> String {
    format!("Orders of {}\n", caller.username.unwrap_or_else(|| "a program".to_owned()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, id) = (env::var("DAYPASS_URL")?, env::var("DAYPASS_CLIENT_ID")?);
    let secret = env::var("DAYPASS_CLIENT_SECRET")?;
    let daypass = Remote::new(&url, &id, &secret, &Settings::default())?;

    let app = Route::new()
        .at("/hello", get(hello))
        .at("/orders", get(orders).with(Guard::new(&daypass).scope("orders:read")));
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    Server::new(TcpListener::bind(listen)).run(app).await?;
    Ok(())
}
