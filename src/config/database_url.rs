//! Keeping the password of a database URL out of what is printed.

use url::form_urlencoded;

/// The URL with `***` in place of every password in it; unchanged when it has none.
///
/// It also takes what is not quite a URL, for the messages that say so. A password may hold an unescaped `@`, `/`, `?`
/// or `#`, so everything from the first colon to the last `@` counts as one: rather too much is hidden than too little.
pub fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_at(scheme(url));
    let url = match (rest.split_once(':'), rest.rsplit_once('@')) {
        (Some((user, _)), Some((before, host))) if user.len() < before.len() => {
            // Where a password stands before the `@` and where the `@` is part of one cannot be told apart then.
            let host = if ends_in_secret_value(before) {
                host.find('&').map_or(String::new(), |at| host[at..].to_owned())
            } else {
                format!("@{host}")
            };
            format!("{scheme}{user}:***{host}")
        }
        _ => url.to_owned(),
    };
    without_secret_parameters(&url)
}

/// Whether it is what [`without_password`] makes of a URL that had a password.
pub fn has_hidden_password(url: &str) -> bool {
    (url.contains(":***") || url.contains("=***")) && without_password(url) == url
}

/// Where the scheme ends, if there is one.
fn scheme(url: &str) -> usize {
    let is_scheme = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).map_or(0, |(scheme, _)| scheme.len() + "://".len())
}

fn ends_in_secret_value(text: &str) -> bool {
    let last = text.rsplit('&').next().unwrap_or(text);
    last.split('?').any(|pair| pair.split_once('=').is_some_and(|(name, _)| is_secret(name)))
}

/// `PostgreSQL` takes `?password=` too. Any `&` begins a parameter here: the `?` may have gone with what was before an `@`.
fn without_secret_parameters(url: &str) -> String {
    url.split('&').map(without_secret_value).collect::<Vec<_>>().join("&")
}

/// A value goes up to the `&`, whatever is in it.
fn without_secret_value(pair: &str) -> String {
    let names = std::iter::once(0).chain(pair.match_indices('?').map(|(at, _)| at + 1));
    let ends = names.filter_map(|start| Some((start, start + pair[start..].find('=')?)));
    match ends.into_iter().find(|(start, end)| is_secret(&pair[*start..*end])) {
        Some((_, end)) => format!("{}=***", &pair[..end]),
        None => pair.to_owned(),
    }
}

/// Whether a parameter of this name, which may be encoded, holds a password.
fn is_secret(name: &str) -> bool {
    let decoded: String = form_urlencoded::parse(name.as_bytes()).map(|(name, _)| name).collect();
    let lower = decoded.replace(char::is_control, "").to_ascii_lowercase();
    ["password", "passwd", "pwd", "secret"].iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{has_hidden_password, without_password};
    use proptest::prelude::*;

    #[test]
    fn a_url_without_a_password_is_unchanged() {
        for url in [
            "sqlite://daypass.db",
            "sqlite::memory:",
            "sqlite:///var/lib/day pass.db?mode=rwc",
            "postgres://daypass@db.internal:5432/daypass?sslmode=require",
            "mysql://[::1]:3306/daypass",
            "",
        ] {
            assert_eq!(without_password(url), url);
        }
    }

    #[test]
    fn a_password_is_replaced() {
        for (url, hidden) in [
            ("postgres://u:p@h/d", "postgres://u:***@h/d"),
            ("postgres://:p@h/d", "postgres://:***@h/d"),
            ("mysql://u:@h:3306/d", "mysql://u:***@h:3306/d"),
            ("mysql://u:a:b@c/d?e#f@h/d", "mysql://u:***@h/d"),
            ("postgres:u:p@h", "postgres:***@h"),
            ("u:p@h", "u:***@h"),
            ("postgres://h/d?user=u&password=p@q&sslmode=x", "postgres://h/d?user=u&password=***&sslmode=x"),
            ("postgres://u:p?w@h/d?PASSWORD=p", "postgres://u:***@h/d?PASSWORD=***"),
            ("postgres://h/d?p%61ssword=p", "postgres://h/d?p%61ssword=***"),
            ("postgres://u:a@b?password=c@h/d", "postgres://u:***"),
            ("postgres://h:1/d?password=p@q&sslmode=x", "postgres://h:***&sslmode=x"),
            ("postgres://h:1/d?user=me@srv&password=p", "postgres://h:***@srv&password=***"),
            ("postgres://u:p@h/d?application_name=a@b&password=p", "postgres://u:***@b&password=***"),
            ("postgres://h/d?password=p?q=r&sslmode=x", "postgres://h/d?password=***&sslmode=x"),
            ("postgres://h/d?pass\tword=p", "postgres://h/d?pass\tword=***"),
            ("u:p://q@h", "u:***@h"),
        ] {
            assert_eq!(without_password(url), hidden);
        }
    }

    proptest! {
        #[test]
        fn no_password_survives(
            before in "([A-Z0-9@:/?#&%=.-]|[?&]PASSWORD=){0,10}",
            after in "([A-Z0-9@:/?#&%=.-]|[?&]PASSWORD=){0,10}",
        ) {
            let password = format!("{before}ABCD{after}");
            let hidden = without_password(&format!("postgres://user:{password}@host/db"));
            prop_assert!(!hidden.contains(|c: char| c.is_ascii_uppercase()), "{}", hidden);
            prop_assert!(has_hidden_password(&hidden), "{}", hidden);
        }

        #[test]
        fn no_password_in_a_parameter_survives(
            host in "[a-z0-9@:/?#=.-]{0,10}",
            before in "[a-z0-9@:/?#&%=.-]{0,20}",
            password in "[A-Z@:/?#%=.-]{0,10}",
            after in "(&[a-z0-9@:/?#&=.-]{0,10})?",
        ) {
            let url = format!("postgres://{host}/d?{before}&password={password}{after}");
            let hidden = without_password(&url);
            prop_assert!(!hidden.contains(|c: char| c.is_ascii_uppercase()), "{} {}", url, hidden);
        }
    }
}
