//! One value: whether it has the type a key wants, how it is read from text, and how a message shows it.

use toml::Value;

use super::without_password;

/// Whether a value may stand where `known` stands. All our lists are lists of strings.
pub fn same_type(known: &Value, given: &Value) -> bool {
    known.same_type(given) && given.as_array().is_none_or(|items| items.iter().all(Value::is_str))
}

/// Reads what an environment variable or a flag says, as the type of `known`.
pub fn read_as(known: &Value, text: &str) -> Option<Value> {
    match known {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) => Some(Value::Array(list(text))),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

/// Comma separated; an empty text is the empty list, not a list of one empty item.
fn list(text: &str) -> Vec<Value> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| Value::String(item.trim().to_owned())).collect()
}

/// What a value of the same type as `known` looks like.
pub fn like(known: &Value) -> String {
    match known {
        Value::String(text) if text.is_empty() => "a string".to_owned(),
        Value::String(_) => format!("a string, such as {}", shown(known)),
        Value::Integer(_) => format!("a whole number, such as {known}"),
        Value::Boolean(_) => "true or false".to_owned(),
        Value::Array(_) => "a list of strings".to_owned(),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => format!("a {}", known.type_str()),
    }
}

/// The value for a message. Passwords are hidden wherever they are: a database URL may have been written under the
/// wrong key.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", without_password(text)),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Table(_) => "a section".to_owned(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_comma_separated_and_may_be_empty() {
        let none = Value::Array(Vec::new());
        let read = |text| shown(&read_as(&none, text).unwrap());
        assert_eq!(read(""), "[]");
        assert_eq!(read("a"), "[\"a\"]");
        assert_eq!(read("a, b ,"), "[\"a\", \"b\", \"\"]");
    }

    #[test]
    fn text_is_read_as_the_type_that_is_known() {
        assert_eq!(read_as(&Value::Integer(1), "42"), Some(Value::Integer(42)));
        assert_eq!(read_as(&Value::Integer(1), "4 2"), None);
        assert_eq!(read_as(&Value::Boolean(false), "true"), Some(Value::Boolean(true)));
        assert_eq!(read_as(&Value::Boolean(false), "yes"), None);
        assert_eq!(read_as(&Value::String(String::new()), ""), Some(Value::String(String::new())));
    }

    #[test]
    fn a_password_is_hidden_wherever_it_was_written() {
        let url = Value::String("postgres://u:hunter2@h/d".to_owned());
        assert_eq!(shown(&url), "\"postgres://u:***@h/d\"");
        assert_eq!(shown(&Value::Array(vec![url.clone()])), "[\"postgres://u:***@h/d\"]");
        assert_eq!(like(&url), "a string, such as \"postgres://u:***@h/d\"");
    }
}
