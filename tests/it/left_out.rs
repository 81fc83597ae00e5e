//! What `cargo test` leaves out, where it can be seen: among the tests that it says it ignored.

#[test]
#[ignore = "run tests/run for PostgreSQL and MariaDB; without a server named the suite runs on SQLite only"]
fn postgresql_and_mariadb_need_tests_run() {
    assert!(std::env::var_os("DAYPASS_TEST_DATABASE_URL").is_some(), "DAYPASS_TEST_DATABASE_URL names no server");
}
