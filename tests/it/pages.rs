//! Pages for people: they are there, they load nothing from elsewhere, and they run no script but ours.

use poem::http::Method;

use crate::support::Service;

#[tokio::test]
async fn the_pages_load_nothing_from_elsewhere() {
    let service = Service::start().await;
    for path in ["/", "/docs", "/docs/", "/console", "/console/"] {
        let page = service.get(path, None).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.header("content-security-policy").contains("script-src 'self';"));
        assert!(!page.text.contains("src=\"http") && !page.text.contains("href=\"http"), "{path}");
        for file in page.text.split(['"', '\'']).filter(|part| part.starts_with('/') && part.contains('.')) {
            assert_eq!(service.get(file, None).await.status, 200, "{path} loads {file}");
        }
    }
    service.get("/favicon.ico", None).await.is(204);
}

#[tokio::test]
async fn swagger_ui_is_served_from_here_and_kept_by_the_browser() {
    let service = Service::start().await;
    let script = service.get("/docs/swagger-ui.js", None).await;
    assert!(script.is(200).text.contains("SwaggerUIBundle") && script.text.len() > 1_000_000);
    assert!(service.get("/docs/swagger-ui.css", None).await.is(200).text.starts_with(".swagger-ui"));
    let tag = script.header("etag").to_owned();
    assert!(tag.len() > 10);
    let again = service.send(Method::GET, "/docs/swagger-ui.js", &[("if-none-match", tag)], "").await;
    assert_eq!((again.is(304).text.as_str(), again.header("content-security-policy").is_empty()), ("", false));
}

/// Compressed once, and not for each who asks: that would take longer than a thousand checks.
#[tokio::test]
async fn files_are_compressed_for_those_who_say_so() {
    let service = Service::start().await;
    let get = async |accept: &str| service.bytes("/docs/swagger-ui.js", &[("accept-encoding", accept)]).await;
    let (plain, whole) = get("identity").await;
    assert!(!plain.contains_key("content-encoding") && plain["vary"] == "Accept-Encoding");
    for accept in ["gzip", "deflate, GZIP;q=0.5, br"] {
        let (headers, gzipped) = get(accept).await;
        assert_eq!((&headers["content-encoding"], &headers["etag"]), (&"gzip".parse().unwrap(), &plain["etag"]));
        assert!(gzipped.len() < whole.len() / 2);
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*gzipped), &mut text).unwrap();
        assert!(text == whole, "{accept}");
    }
    for accept in ["", "br", "gzip;q=0", "gzip; q=0.000", "xgzip"] {
        assert!(!get(accept).await.0.contains_key("content-encoding"), "{accept}");
    }
}

#[tokio::test]
async fn the_document_is_served_as_json_and_yaml() {
    let service = Service::start().await;
    let json = service.get("/openapi.json", None).await;
    assert_eq!(json.is(200).header("content-type"), "application/json");
    let yaml = service.get("/openapi.yaml", None).await;
    assert_eq!(yaml.is(200).header("content-type"), "application/yaml");
    let same: serde_json::Value = serde_yaml::from_str(&yaml.text).unwrap();
    assert_eq!(same, json.json());
}
