//! Keeping the password of a database URL out of what is printed.

/// The URL with `***` in place of every password in it; unchanged when it has none.
///
/// It also takes what is not quite a URL, for the messages that say so. A password may hold an unescaped `@`, `/`, `?`
/// or `#`, so everything from the first colon to the last `@` counts as one: rather too much is hidden than too little.
pub fn without_password(url: &str) -> String {
    let url = without_secret_parameters(url);
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + "://".len()));
    match (rest.split_once(':'), rest.rsplit_once('@')) {
        (Some((user, _)), Some((before, host))) if user.len() < before.len() => format!("{scheme}{user}:***@{host}"),
        _ => url,
    }
}

/// `PostgreSQL` takes `?password=` too.
fn without_secret_parameters(url: &str) -> String {
    let Some((before, query)) = url.split_once('?') else { return url.to_owned() };
    let pairs: Vec<String> = query.split('&').map(without_secret_value).collect();
    format!("{before}?{}", pairs.join("&"))
}

fn without_secret_value(pair: &str) -> String {
    let name = pair.split_once('=').map_or("", |(name, _)| name);
    let lower = name.to_ascii_lowercase();
    let secret = ["password", "passwd", "pwd", "secret"].iter().any(|word| lower.contains(word));
    if secret { format!("{name}=***") } else { pair.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::without_password;
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
        ] {
            assert_eq!(without_password(url), hidden);
        }
    }

    proptest! {
        #[test]
        fn no_password_survives(password in "[A-Z0-9@:/?#&%.-]{0,20}[A-Z]{4}[A-Z0-9@:/?#&%.-]{0,20}") {
            let hidden = without_password(&format!("postgres://user:{password}@host/db"));
            prop_assert!(!hidden.contains(|c: char| c.is_ascii_uppercase()), "{}", hidden);
            prop_assert_eq!(without_password(&hidden), hidden.clone());
        }
    }
}
