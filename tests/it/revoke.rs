//! Ending tokens.

use serde_json::json;

use crate::support::Service;

#[tokio::test]
async fn a_revoked_token_never_works_again() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let api = service.issue(&session, json!({})).await;
    let path = format!("/v1/tokens/{}", api.text_of("id"));
    service.delete(&path, Some(&session)).await.is(204);
    let refused = service.check(&api.token()).await;
    assert!(refused.is_problem(401).header("www-authenticate").contains("the token has been revoked"));
    service.advance_ms(5);
    service.delete(&path, Some(&session)).await.is(204);
    let shown = service.get(&path, Some(&session)).await;
    assert_eq!(shown.member("revoked_at"), "2026-11-24T09:00:00.000Z", "it keeps the time it was revoked");
    assert_eq!((shown.member("state"), shown.member("expires_in")), (json!("revoked"), json!(0)));
}

#[tokio::test]
async fn whoever_holds_a_token_may_end_it() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let leaked = service.issue(&session, json!({})).await.token();
    let kept = service.issue(&session, json!({})).await.token();
    let mut guessed = kept.clone();
    guessed.replace_range(30..31, if &kept[30..31] == "a" { "b" } else { "a" });
    let tokens = json!({ "tokens": [leaked, guessed, "nonsense", ""] });
    let answer = service.post("/v1/tokens/revoke", None, tokens).await;
    assert_eq!((answer.is(202).status.as_u16(), answer.text.as_str()), (202, ""));
    service.check(&leaked).await.is(401);
    service.check(&kept).await.is(200);
}

#[tokio::test]
async fn a_right_id_with_a_wrong_secret_ends_nothing() {
    let service = Service::start().await;
    let kept = service.session("alice", &[]).await;
    let id = service.check(&kept).await.text_of("id").parse().unwrap();
    let forged = daypass::token::secret::TokenSecret::generate("dp", daypass::token::Kind::Session, id).unwrap();
    service.post("/v1/tokens/revoke", None, json!({ "tokens": [forged.expose()] })).await.is(202);
    service.check(&kept).await.is(200);
    let refused = service.check(forged.expose()).await;
    assert!(refused.is_problem(401).header("www-authenticate").contains("malformed or unknown"));
}

#[tokio::test]
async fn a_rotated_out_secret_still_ends_its_token() {
    let service = Service::start().await;
    let session = service.session("alice", &[]).await;
    let old = service.issue(&session, json!({})).await;
    let path = format!("/v1/tokens/{}/rotate", old.text_of("id"));
    let new = service.post(&path, Some(&session), json!({ "overlap": 60 })).await.token();
    service.post("/v1/tokens/revoke", None, json!({ "tokens": [old.token()] })).await.is(202);
    service.check(&new).await.is(401);
}

#[tokio::test]
async fn at_most_500_at_once() {
    let service = Service::start().await;
    let many = |count: usize| json!({ "tokens": vec!["x"; count] });
    service.post("/v1/tokens/revoke", None, many(500)).await.is(202);
    service.post("/v1/tokens/revoke", None, many(501)).await.is_about(422, "tokens");
    service.post("/v1/tokens/revoke", None, many(0)).await.is_about(422, "tokens");
}
