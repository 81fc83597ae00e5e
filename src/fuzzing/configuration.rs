//! The configuration ([`crate::config`]): a file, and the environment over it.

use toml::Value;

use crate::config::{Config, ConfigError, Loaded, from_text, without_password};

/// Part of every password below. Where the input has it too, nothing is said about who shows it.
const SECRET: &str = "hunter2";

/// The input is a file, the environment (`NAME=value` in each line), a key, and what surrounds a password, separated by zero
/// bytes.
pub fn configuration(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut parts = text.splitn(4, '\0');
    let mut part = || parts.next().unwrap_or_default();
    let (file, environment, key, around) = (part(), part(), part(), part());
    let environment: Vec<_> = environment.lines().filter_map(|line| line.split_once('=')).collect();
    if let Ok(loaded) = read(file, &environment) {
        survives_printing(&loaded);
        survives_the_environment(&loaded);
    }
    if !text.contains(SECRET) && !around.contains(|c: char| c.is_control() || "'\"\\".contains(c)) {
        shows_no_password(file, &environment, key, around);
    }
}

fn read(file: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    from_text(file, environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// What is printed is a file that says the same; but for a password, which it is then told to be without.
fn survives_printing(loaded: &Loaded) {
    let printed = loaded.to_toml();
    let url = &loaded.config.database_url;
    match read(&printed, &[]) {
        Ok(again) => assert_eq!(again.config, loaded.config, "{printed}"),
        Err(ConfigError::BadValue { key, .. }) if key == "database_url" => {
            assert_ne!(*url, without_password(url), "{printed}");
        }
        Err(error) => panic!("{error}\n{printed}"),
    }
}

/// So are all the values, each by its variable.
fn survives_the_environment(loaded: &Loaded) {
    let mut config = loaded.config.clone();
    if config.database_url != without_password(&config.database_url) {
        config.database_url = Config::default().database_url;
    }
    let mut variables = Vec::new();
    flatten("DAYPASS", Value::try_from(&config).expect("it was TOML"), &mut variables);
    let again = from_text("", variables.iter().cloned()).map(|again| again.config);
    assert_eq!(again.ok().as_ref(), Some(&config), "{variables:?}");
}

fn flatten(name: &str, value: Value, variables: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Table(table) => {
            let parting = if name == "DAYPASS" { "_" } else { "__" };
            return table.into_iter().for_each(|(key, value)| {
                flatten(&format!("{name}{parting}{}", key.to_ascii_uppercase()), value, variables);
            });
        }
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        Value::String(text) => text,
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
    };
    variables.push((name.to_owned(), text));
}

/// A URL with a password stands under any key, in any file and environment; it is in no error and in nothing that is printed.
fn shows_no_password(file: &str, environment: &[(&str, &str)], key: &str, around: &str) {
    let (before, after) = around.split_at(around.floor_char_boundary(around.len() / 2));
    let password = format!("{before}{SECRET}{after}");
    let variable = format!("DAYPASS_{}", key.to_ascii_uppercase().replace('.', "__"));
    for url in [format!("postgres://u:{password}@h/d"), format!("mysql://h/d?password={}", password.replace('&', ""))] {
        let files = [format!("{file}\n{key} = '{url}'\n"), format!("{key} = ['{url}']\n{file}")];
        let with_file = files.iter().map(|file| read(file, environment));
        let variables = [variable.as_str(), "DATABASE_URL"].map(|name| [environment, &[(name, &*url)]].concat());
        let with_variable = variables.iter().map(|environment| read(file, environment));
        for outcome in with_file.chain(with_variable) {
            let shown = match outcome {
                Ok(loaded) => format!("{} {loaded:?}", loaded.to_toml()),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }
}
