//! A poem service with a Daypass in its own process: one program, one database, tokens and all.
//!
//! ```sh
//! cargo run --example embedded
//! daypass user add alice --scope orders:read
//! curl http://127.0.0.1:8000/orders -H "Authorization: Bearer $(daypass token issue --user alice --scope orders:read)"
//! ```
//!
//! It reads `daypass.toml` and the environment as `daypass` does. Daypass's own operations (`/v1/login`, …) are answered too.

use daypass::{
    config,
    guard::{Caller, Embedded, Guard},
};
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
    let environment = config::environment(std::env::vars_os())?;
    let config = config::load(None, environment.into_iter(), &[])?.config;
    daypass::telemetry::log(&config.log);
    let listen = config.listen;
    let daypass = Embedded::start(config).await?;

    let app = Route::new()
        .at("/hello", get(hello))
        .at("/orders", get(orders).with(Guard::new(&daypass).scope("orders:read")))
        .nest("/", daypass.routes());
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    Server::new(TcpListener::bind(listen)).run_with_graceful_shutdown(app, stop, None).await?;

    daypass.stop().await;
    Ok(())
}
