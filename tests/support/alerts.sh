# Tests of the alerting rules. Sourced by tests/run.

install_promtool() {
    # Debian's package brings the server too, which is not started.
    command -v promtool > /dev/null || install_packages prometheus
}

check_alerts() {
    promtool check rules deploy/alerts.yml && promtool test rules deploy/alerts.test.yml
}
