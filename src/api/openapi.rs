//! The OpenAPI document: what poem-openapi generates from the code, put right in this one place for the file in
//! `openapi/`, the routes that serve it and Swagger UI alike.

use std::{collections::HashMap, sync::LazyLock};

use poem::http::StatusCode;
use poem_openapi::{LicenseObject, OpenApiService};
use serde_json::{Map, Value, json};

use super::{
    django::DjangoApi,
    oauth::{self, OAuthApi, error::OAuthError},
    pages::landing::LandingPage,
    problem,
    service::ServiceApi,
    v1::{
        audit::AuditApi, check::CheckApi, clients::ClientsApi, maintenance::MaintenanceApi, session::SessionApi,
        tokens::TokensApi, users::UsersApi,
    },
};

/// The operations, by what they are about.
type Apis = (
    SessionApi,
    TokensApi,
    CheckApi,
    UsersApi,
    ClientsApi,
    MaintenanceApi,
    AuditApi,
    OAuthApi,
    DjangoApi,
    ServiceApi,
    LandingPage,
);

const APIS: Apis = (
    SessionApi,
    TokensApi,
    CheckApi,
    UsersApi,
    ClientsApi,
    MaintenanceApi,
    AuditApi,
    OAuthApi,
    DjangoApi,
    ServiceApi,
    LandingPage,
);

/// Everything that is documented, as routes and as a document.
pub type Service = OpenApiService<Apis, ()>;

/// The documented operations.
pub fn service() -> Service {
    OpenApiService::new(APIS, "Daypass", env!("CARGO_PKG_VERSION"))
        .description(include_str!("description.md"))
        .license(LicenseObject::new("MIT OR Apache-2.0").url("https://opensource.org/license/mit"))
        // Relative, so that Swagger UI calls the address it was opened under.
        .server("/")
}

/// The document as JSON, ending in a line feed.
pub fn json() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", *DOCUMENT));
    &TEXT
}

/// The document as YAML.
pub fn yaml() -> &'static str {
    #[expect(clippy::expect_used, reason = "as with the document itself")]
    static TEXT: LazyLock<String> = LazyLock::new(|| serde_yaml::to_string(&*DOCUMENT).expect("JSON is YAML too"));
    &TEXT
}

/// The methods that the path of a request answers, for `Allow`. A slash at the end makes no difference.
pub fn methods_of(path: &str) -> String {
    let paths = DOCUMENT["paths"].as_object().into_iter().flatten();
    // Of two that fit, the one with fewer parameters is meant.
    let fitting = paths.filter(|(template, _)| matches(template, path));
    let operations = fitting.min_by_key(|(template, _)| template.matches('{').count());
    let mut methods: Vec<String> = match operations.and_then(|(_, operations)| operations.as_object()) {
        Some(operations) => operations.keys().map(|method| method.to_uppercase()).collect(),
        None => vec!["GET".to_owned()],
    };
    // The framework answers HEAD wherever it answers GET.
    if methods.iter().any(|method| method == "GET") && !methods.iter().any(|method| method == "HEAD") {
        methods.push("HEAD".to_owned());
    }
    methods.join(", ")
}

fn matches(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (segments(template), segments(path));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.trim_end_matches('/').split('/')
}

/// Were it no JSON, that would be a defect, and no reason to serve an empty document: who asks for it is answered 500.
#[expect(clippy::expect_used, reason = "the tests of the document would not get past it either")]
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document: Value = serde_json::from_str(&service().spec()).expect("poem-openapi writes JSON");
    tidy(&mut document);
    slash_django(&mut document);
    order_tags(&mut document);
    for (method, operation) in operations(&mut document) {
        put_right(method, operation);
    }
    schemas(&mut document);
    move_examples(&mut document);
    document
});

/// Every operation object of the document, with its method.
fn operations(document: &mut Value) -> impl Iterator<Item = (&str, &mut Map<String, Value>)> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.filter_map(Value::as_object_mut).flatten();
    operations.filter_map(|(method, operation)| Some((method.as_str(), operation.as_object_mut()?)))
}

/// What is odd anywhere: media types with a charset (which generators take for another type), float bounds of
/// integers, formats that only poem knows.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(members) => {
            let tidied =
                std::mem::take(members).into_iter().map(|(name, value)| match name.strip_suffix("; charset=utf-8") {
                    Some(media_type) => (media_type.to_owned(), value),
                    None => (name, value),
                });
            *members = tidied.collect();
            whole_bounds(members);
            signed_format(members);
            described_reference(members);
            members.values_mut().for_each(tidy);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The framework drops the slash at the end of a path; Django's paths have one.
fn slash_django(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let is_django = |operations: &Value| {
        let mut operations = operations.as_object().into_iter().flat_map(Map::values);
        operations.any(|operation| operation.as_object().is_some_and(|operation| has_tag(operation, "django")))
    };
    let slashed = std::mem::take(paths)
        .into_iter()
        .map(|(path, operations)| if is_django(&operations) { (path + "/", operations) } else { (path, operations) });
    *paths = slashed.collect();
}

/// Generated in alphabetical order; read in the order of need.
fn order_tags(document: &mut Value) {
    const ORDER: [&str; 10] =
        ["session", "tokens", "check", "oauth", "users", "clients", "maintenance", "audit", "django", "service"];
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.sort_by_key(|tag| ORDER.iter().position(|name| tag["name"] == *name));
    }
}

/// A described reference comes as the reference and the description side by side, with the description once more.
fn described_reference(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(all)) = schema.get_mut("allOf") {
        all.retain(|part| part.as_object().is_none_or(|part| !part.keys().eq(["description"])));
    }
}

fn whole_bounds(schema: &mut Map<String, Value>) {
    for bound in ["minimum", "maximum"] {
        if let Some(Value::Number(number)) = schema.get_mut(bound)
            && let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0)
        {
            #[expect(clippy::cast_possible_truncation, reason = "bounds are far within i64")]
            let whole = float as i64;
            *number = whole.into();
        }
    }
}

/// OpenAPI knows int32 and int64; an unsigned number is one of those that is not negative.
fn signed_format(schema: &mut Map<String, Value>) {
    let format = match schema.get("format").and_then(Value::as_str) {
        Some("uint16" | "int16" | "uint8") => "int32",
        Some("uint32" | "uint64") => "int64",
        _ => return,
    };
    schema.insert("format".to_owned(), json!(format));
    schema.entry("minimum").or_insert(json!(0));
}

fn has_tag(operation: &Map<String, Value>, tag: &str) -> bool {
    operation.get("tags").is_some_and(|tags| tags[0] == tag)
}

/// One operation: the errors it can really answer, an example of each, the header that every answer carries, and an
/// explicit word where no token is needed.
fn put_right(method: &str, operation: &mut Map<String, Value>) {
    let is_public = operation.get("security").is_none_or(|security| security.as_array().is_none_or(Vec::is_empty));
    if is_public {
        operation.insert("security".to_owned(), json!([]));
    } else if has_tag(operation, "oauth")
        && let Some(ways) = operation.get_mut("security").and_then(Value::as_array_mut)
    {
        // A client may authenticate in the body, too, and for some of what is done here nobody has to.
        ways.push(json!({}));
    }
    optional_lists(operation);
    id_formats(operation);
    let wanted = errors(method, operation, is_public);
    let name = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let own_words = has_tag(operation, "service");
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    responses.retain(|status, response| {
        let is_own = own_words && !is_a_problem(response);
        status.starts_with('2') || is_own || wanted.contains(&status.as_str())
    });
    for status in wanted {
        responses.entry(status).or_insert_with(|| a_problem(status));
    }
    responses.sort_keys();
    for (status, response) in responses.iter_mut() {
        let Some(response) = response.as_object_mut() else { continue };
        // An answer to HEAD has no body, and clients that were promised one would try to read it.
        if method == "head" {
            response.remove("content");
        }
        describe(&name, status, response);
        let headers = response.entry("headers").or_insert_with(|| json!({}));
        let Some(headers) = headers.as_object_mut() else { continue };
        *headers = std::mem::take(headers).into_iter().map(|(name, header)| (cased(&name), header)).collect();
        headers.insert(
            "X-Request-Id".to_owned(),
            json!({
                "description": "Names this request in the log.",
                "schema": { "type": "string" },
            }),
        );
    }
}

/// What is refused before an operation is reached is a problem everywhere, also where its own errors are none.
fn a_problem(status: &str) -> Value {
    let known = problem::STATUSES.iter().find(|(known, ..)| known.to_string() == status);
    json!({
        "description": known.map_or("", |(_, description, _)| description),
        "content": { problem::MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

/// A description where there is none, and for an error an example of this very status.
fn describe(name: &str, status: &str, response: &mut Map<String, Value>) {
    if response["description"] == "" {
        response.insert("description".to_owned(), json!("Success."));
    }
    let description = response["description"].clone();
    let Some(content) = response.get_mut("content") else { return };
    if let Some(problem) = content.get_mut(problem::MEDIA_TYPE) {
        let status = status.parse().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        problem["example"] = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": description,
        });
    } else if let Some(error) = content.get_mut("application/json") {
        let status_code = status.parse().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match error["schema"]["$ref"].as_str() {
            Some("#/components/schemas/DjangoError") => error["example"] = django_error(name, status),
            Some("#/components/schemas/OAuthError") => error["example"] = oauth_error(status_code),
            Some(_) | None => {}
        }
    }
}

fn oauth_error(status: StatusCode) -> Value {
    let OAuthError { error, error_description } = oauth::error::of_status(status);
    json!({ "error": error, "error_description": error_description })
}

/// What a Django door answers: each has words of its own.
fn django_error(name: &str, status: &str) -> Value {
    match (status, name) {
        ("400", "djangoObtainAuthToken" | "knoxLogin") => {
            json!({ "non_field_errors": ["Unable to log in with provided credentials."] })
        }
        ("400", _) => json!({ "detail": "JSON parse error - the body is not JSON" }),
        ("401", "djangoApiLogin") => json!({ "error": "Invalid Credentials" }),
        ("401", "djangoCustomLogin") => json!({ "error": "Invalid credentials" }),
        ("401", "djangoProtectedView") => json!({ "error": "Invalid token" }),
        ("401", "knoxLogin") => json!({ "detail": "Invalid username/password." }),
        ("401", _) => json!({ "detail": "Invalid token." }),
        ("403", _) => json!({ "error": "Maximum amount of tokens allowed per user exceeded." }),
        ("415", _) => json!({ "detail": "Unsupported media type \"text/plain\" in request." }),
        ("429", _) => json!({ "detail": "Request was throttled. Expected available in 42 seconds." }),
        ("500", _) => json!({ "detail": "Internal server error." }),
        _ => json!({ "detail": "Service temporarily unavailable, try again later." }),
    }
}

/// A list in the query may be empty, and is then not there.
fn optional_lists(operation: &mut Map<String, Value>) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["in"] == "query" && parameter["schema"]["type"] == "array")
    {
        parameter["required"] = json!(false);
    }
}

/// Ids in paths are read by hand, for errors that say what would be right.
fn id_formats(operation: &mut Map<String, Value>) {
    let schema = if has_tag(operation, "tokens") {
        json!({ "type": "string", "pattern": "^(current|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$" })
    } else {
        json!({ "type": "string", "format": "uuid" })
    };
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["in"] == "path" && parameter["name"] == "id") {
        parameter["schema"] = schema.clone();
    }
}

fn is_a_problem(response: &Value) -> bool {
    response["content"].get(problem::MEDIA_TYPE).is_some()
}

/// What an operation can answer besides what follows from what it takes.
const ERRORS: &[(&str, &[&str])] = &[
    ("login", &["401", "403", "409", "429"]),
    // The user may be deleted between the check of the token and what it is for.
    ("logoutAll", &["404"]),
    ("whoami", &["404"]),
    ("changePassword", &["403", "404", "409", "429"]),
    ("issueToken", &["403", "404", "409"]),
    ("renewToken", &["403", "409"]),
    ("rotateToken", &["403", "409"]),
    ("revokeByPossession", &["429"]),
    ("createUser", &["403", "409"]),
    ("listUsers", &["403"]),
    ("getUser", &["403"]),
    ("updateUser", &["403"]),
    ("deleteUser", &["403"]),
    ("createClient", &["403"]),
    ("listClients", &["403"]),
    ("getClient", &["403"]),
    ("updateClient", &["403"]),
    ("deleteClient", &["403"]),
    ("rotateClientSecret", &["403"]),
    ("getMaintenance", &["403"]),
    ("listMaintenanceRuns", &["403"]),
    ("getMaintenanceRun", &["403"]),
    ("previewPurge", &["403"]),
    ("runPurge", &["403", "409"]),
    ("listAuditEvents", &["403"]),
    ("requestToken", &["400", "401", "429"]),
    ("introspectToken", &["400", "401", "403"]),
    ("revokeOAuthToken", &["400", "401", "429"]),
    ("getAuthorizationServerMetadata", &["404"]),
    ("djangoApiLogin", &["400", "401", "403", "415", "429"]),
    ("djangoCustomLogin", &["400", "401", "403", "415", "429"]),
    ("djangoObtainAuthToken", &["400", "403", "415", "429"]),
    ("djangoApiProtected", &["401"]),
    ("djangoProtectedView", &["401"]),
    ("knoxLogin", &["400", "401", "403", "415", "429"]),
    ("knoxLogout", &["401"]),
    ("knoxLogoutAll", &["401"]),
];

/// Which errors an operation can answer.
fn errors(method: &str, operation: &Map<String, Value>, is_public: bool) -> Vec<&'static str> {
    let name = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    if name.starts_with("checkToken") {
        return vec!["401", "403", "503"];
    }
    if has_tag(operation, "service") {
        return if name == "getMetrics" { vec!["500"] } else { Vec::new() };
    }
    let mut errors = vec!["500", "503"];
    let known = ERRORS.iter().find(|(known, _)| *known == name);
    errors.extend(known.into_iter().flat_map(|(_, errors)| *errors));
    // Whatever comes with another method is read before the operation is reached.
    if !matches!(method, "get" | "head") {
        errors.extend(["408", "413"]);
    }
    if has_tag(operation, "django") || has_tag(operation, "oauth") {
        return errors;
    }
    let parameters = || operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    if !is_public {
        // 400 is for more than one Authorization field.
        errors.extend(["400", "401"]);
    }
    if parameters().any(|parameter| parameter["in"] == "path") {
        errors.extend(["400", "404"]);
    }
    if parameters().any(|parameter| parameter["in"] == "query") {
        errors.push("400");
    }
    if parameters().any(|parameter| parameter["schema"].get("minimum").is_some()) {
        errors.push("422");
    }
    if operation.contains_key("requestBody") {
        errors.extend(["400", "415", "422"]);
    }
    errors
}

/// The framework writes header names in capitals.
fn cased(name: &str) -> String {
    let word = |word: &str| match word {
        "WWW" => word.to_owned(),
        _ if word.eq_ignore_ascii_case("ratelimit") => "RateLimit".to_owned(),
        _ => word[..1].to_uppercase() + &word[1..].to_lowercase(),
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// Schemas whose members may be absent from an answer; in every other answer all members are there, `null` where there
/// is no value.
const MAY_LACK: [&str; 4] = ["Problem", "DjangoError", "TokenResponse", "IntrospectionResponse"];

/// Members that are absent where there is nothing to tell, of schemas that are complete but for them.
const LEFT_OUT: [&str; 1] = ["refresh_token"];

/// Bodies whose unknown members are not looked at.
fn is_open(name: &str) -> bool {
    name.starts_with("Django") || ["TokenRequest", "IntrospectionRequest", "RevocationRequest"].contains(&name)
}

/// What is read is closed to unknown members; what is answered is complete.
fn schemas(document: &mut Value) {
    let read = referenced(document, "requestBody");
    let answered = referenced(document, "responses");
    let types = types(document);
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    for (name, schema) in schemas {
        let Some(schema) = schema.as_object_mut().filter(|schema| schema.contains_key("properties")) else { continue };
        if read.contains(name) {
            if !is_open(name) {
                schema.insert("additionalProperties".to_owned(), json!(false));
            }
            if let Some(example) = schema.get_mut("example").and_then(Value::as_object_mut) {
                example.retain(|_, value| !value.is_null());
            }
        }
        if !read.contains(name) && answered.contains(name) && !MAY_LACK.contains(&name.as_str()) {
            complete(schema, &types);
        }
    }
}

/// An answer's example stands beside the answer. Within a schema, linters take an `id` in it for the schema's own, and two
/// that are equal for a mistake.
fn move_examples(document: &mut Value) {
    let read = referenced(document, "requestBody");
    let mut examples = HashMap::new();
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut).into_iter().flatten();
    for (name, schema) in schemas.filter(|(name, _)| !read.contains(name)) {
        if let Some(example) = schema.as_object_mut().and_then(|schema| schema.remove("example")) {
            examples.insert(json!(format!("#/components/schemas/{name}")), example);
        }
    }
    for (_, operation) in operations(document) {
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten();
        let contents = responses.filter_map(|(_, response)| response.get_mut("content")?.as_object_mut()).flatten();
        for (_, media) in contents {
            if let (None, Some(example)) = (media.get("example"), examples.get(&media["schema"]["$ref"])) {
                media["example"] = example.clone();
            }
        }
    }
}

/// The type of each named schema, by its reference.
fn types(document: &Value) -> HashMap<String, Value> {
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    schemas.map(|(name, schema)| (format!("#/components/schemas/{name}"), schema["type"].clone())).collect()
}

/// Makes every member required, and those that were not nullable.
fn complete(schema: &mut Map<String, Value>, types: &HashMap<String, Value>) {
    let required: Vec<String> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let always = |name: &str| !LEFT_OUT.contains(&name);
    for (_, property) in properties.iter_mut().filter(|(name, _)| always(name) && !required.contains(name)) {
        // Beside a `$ref` nothing counts in OpenAPI 3.0, and `nullable` counts only beside a `type`.
        if property.get("$ref").is_some() {
            *property = json!({ "allOf": [property.take()] });
        }
        let reference = property.pointer("/allOf/0/$ref").and_then(Value::as_str);
        let kind = reference.and_then(|reference| types.get(reference)).cloned();
        let Some(property) = property.as_object_mut() else { continue };
        if let Some(kind) = kind {
            property.insert("type".to_owned(), kind);
        }
        property.insert("nullable".to_owned(), json!(true));
    }
    let all: Vec<String> = properties.keys().filter(|name| always(name)).cloned().collect();
    schema.insert("required".to_owned(), json!(all));
}

/// The names of all schemas that are reached from this member of any operation.
fn referenced(document: &mut Value, member: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, operation) in operations(document) {
        if let Some(value) = operation.get(member) {
            collect(value, &mut found);
        }
    }
    let mut next = 0;
    while let Some(name) = found.get(next).cloned() {
        next += 1;
        collect(&document["components"]["schemas"][name], &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str().and_then(|path| path.strip_prefix("#/components/schemas/")) {
                    Some(schema) if name == "$ref" && !found.iter().any(|known| known == schema) => {
                        found.push(schema.to_owned());
                    }
                    _ => collect(value, found),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_that_has_errors_of_its_own_exists() {
        let mut document = DOCUMENT.clone();
        let names: Vec<_> = operations(&mut document).map(|(_, operation)| operation["operationId"].clone()).collect();
        for (name, errors) in ERRORS {
            assert!(names.iter().any(|known| known == name), "{name}");
            for status in *errors {
                let known = problem::STATUSES.iter().any(|(known, ..)| known.to_string() == *status);
                assert!(known, "{name} {status}");
            }
        }
    }
}
