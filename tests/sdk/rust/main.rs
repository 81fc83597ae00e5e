//! The generated Rust client before a server that runs. One line for each check, then the counts.
//!
//! The server's address is the only argument; ADMIN and PASSWORD are in the environment.

use std::{env, fmt::Debug, process::ExitCode};

use daypass_client::{
    apis::{
        Error, check_api,
        configuration::Configuration,
        session_api,
        tokens_api::{self, GetTokenError, ListTokensError},
        users_api,
    },
    models::{CreateUserRequest, IssueRequest, IssuedToken, LoginRequest, Problem, TokenKind, TokenState},
};
use uuid::Uuid;

const OWN_PASSWORD: &str = "quiet rivers bend slowly";

type Checked<T = ()> = Result<T, String>;

#[derive(Default)]
struct Counts {
    passed: u32,
    failed: u32,
}

impl Counts {
    fn note<T>(&mut self, name: &str, result: Checked<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.passed += 1;
                println!("ok      {name}");
                Some(value)
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED  {name}\n{error}");
                None
            }
        }
    }
}

/// What an operation answered, or its error in words.
fn answer<T, E: Debug>(result: Result<T, Error<E>>) -> Checked<T> {
    result.map_err(|error| format!("{error:?}"))
}

fn expect(holds: bool, seen: &dyn Debug) -> Checked {
    if holds { Ok(()) } else { Err(format!("unexpected: {seen:?}")) }
}

fn with_token(token: &str) -> Configuration {
    Configuration { bearer_access_token: Some(token.to_owned()), ..anonymous() }
}

fn anonymous() -> Configuration {
    Configuration { base_path: env::args().nth(1).expect("the server's address"), ..Configuration::new() }
}

async fn log_in(username: &str, password: &str) -> Checked<IssuedToken> {
    let request = LoginRequest::new(username.to_owned(), password.to_owned());
    answer(session_api::login(&anonymous(), request).await)
}

async fn logs_in() -> Checked<Configuration> {
    let setting = |name| env::var(name).map_err(|error| format!("{name}: {error}"));
    let admin = with_token(&log_in(&setting("ADMIN")?, &setting("PASSWORD")?).await?.token);
    let request = CreateUserRequest::new("rust".to_owned(), OWN_PASSWORD.to_owned());
    let user = answer(users_api::create_user(&admin, request).await)?;
    expect(user.last_login_at.is_none(), &user)?;
    let session = log_in("rust", OWN_PASSWORD).await?;
    let is_mine = session.user.as_ref().is_some_and(|user| user.username == "rust");
    expect(session.kind == TokenKind::Session && is_mine, &session)?;
    Ok(with_token(&session.token))
}

async fn issues(mine: &Configuration) -> Checked<Vec<IssuedToken>> {
    let mut issued = Vec::new();
    for number in 0..3 {
        let request = IssueRequest { name: Some(format!("number {number}")), ttl: Some(3600), ..IssueRequest::new() };
        let token = answer(tokens_api::issue_token(mine, request).await)?;
        let lifetime = (token.expires_at - token.created_at).num_seconds();
        expect(token.kind == TokenKind::Api && lifetime == 3600, &token)?;
        issued.push(token);
    }
    Ok(issued)
}

async fn checks(token: &IssuedToken) -> Checked {
    let active = answer(check_api::check_token(&with_token(&token.token), None).await)?;
    let is_mine = active.user.as_ref().is_some_and(|user| user.username == "rust");
    expect(active.active && active.id == token.id && active.name.as_deref() == Some("number 0") && is_mine, &active)
}

async fn lists(mine: &Configuration) -> Checked {
    let page = async |cursor: Option<&str>| {
        answer(tokens_api::list_tokens(mine, None, None, None, None, Some(2), cursor).await)
    };
    let first = page(None).await?;
    let second = page(first.next_cursor.as_deref()).await?;
    expect(first.items.len() == 2 && second.next_cursor.is_none(), &second)?;
    let names: Vec<_> = first.items.iter().chain(&second.items).map(|token| token.name.as_deref()).collect();
    expect(names == [Some("number 2"), Some("number 1"), Some("number 0"), None], &names)
}

async fn is_refused() -> Checked {
    match tokens_api::list_tokens(&with_token("dps_nonsense"), None, None, None, None, None, None).await {
        Err(Error::ResponseError(failure)) => match failure.entity {
            // The generated errors are tried in order, and all are the same problem: its status tells them apart.
            Some(ListTokensError::Status400(problem)) => {
                expect_problem(&problem, 401, "urn:problem-type:daypass:token-unknown")
            }
            other => expect(false, &other),
        },
        other => expect(false, &other),
    }
}

async fn finds_nothing(mine: &Configuration) -> Checked {
    match tokens_api::get_token(mine, &Uuid::from_u128(1).to_string()).await {
        Err(Error::ResponseError(failure)) => match failure.entity {
            Some(GetTokenError::Status400(problem)) => expect_problem(&problem, 404, "about:blank"),
            other => expect(false, &other),
        },
        other => expect(false, &other),
    }
}

fn expect_problem(problem: &Problem, status: i32, kind: &str) -> Checked {
    expect(problem.status == status && problem.r#type == kind, problem)
}

async fn revokes(mine: &Configuration, token: &IssuedToken) -> Checked {
    answer(tokens_api::revoke_token(mine, &token.id.to_string()).await)?;
    let seen = answer(tokens_api::get_token(mine, &token.id.to_string()).await)?;
    expect(seen.state == TokenState::Revoked, &seen)?;
    match check_api::check_token(&with_token(&token.token), None).await {
        Err(Error::ResponseError(failure)) => match failure.entity {
            Some(check_api::CheckTokenError::Status401(problem)) => {
                expect_problem(&problem, 401, "urn:problem-type:daypass:token-revoked")
            }
            other => expect(false, &other),
        },
        other => expect(false, &other),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut counts = Counts::default();
    let mine = counts.note("Rust logs in", logs_in().await).unwrap_or_else(anonymous);
    let issued = counts.note("Rust issues", issues(&mine).await).unwrap_or_else(|| vec![IssuedToken::default()]);
    counts.note("Rust checks", checks(&issued[0]).await);
    counts.note("Rust lists two pages", lists(&mine).await);
    counts.note("Rust is told of a bad token, with a type", is_refused().await);
    counts.note("Rust is told of an unknown id, with a type", finds_nothing(&mine).await);
    counts.note("Rust revokes", revokes(&mine, &issued[0]).await);

    // As cargo's runner ends, for tests/run to count.
    let Counts { passed, failed } = counts;
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; in Rust");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
