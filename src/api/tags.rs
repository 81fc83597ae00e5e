//! How the document groups operations.

use poem_openapi::Tags;

/// The groups.
#[derive(Tags)]
#[oai(rename_all = "lowercase")]
pub enum Tag {
    /// Logging in and out, and oneself.
    Session,
    /// Issuing, listing, renewing, rotating and revoking tokens.
    Tokens,
    /// Answering other services: does this token work now, and for whom.
    Check,
    /// Users, for administrators.
    Users,
    /// OAuth clients, for administrators.
    Clients,
    /// What the purge did, does and would do, for administrators.
    Maintenance,
    /// Who did what, for administrators.
    Audit,
    /// OAuth 2.0: tokens for clients, refresh tokens, introspection and revocation.
    OAuth,
    /// Doors for clients that were written against Django REST framework, django-rest-knox or hand-made middleware.
    Django,
    /// Whether the service is up and well.
    Service,
}
