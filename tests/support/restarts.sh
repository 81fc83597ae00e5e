# Two replicas behind HAProxy, restarted in turn while requests go on. Sourced by tests/run.

install_haproxy() {
    proxy_program haproxy > /dev/null || install_packages haproxy
}

try_restarts() { # folder; on the database that start_postgres started
    cargo build --locked --quiet || return 1
    mkdir -p "$1"
    env DAYPASS="$PWD/target/debug/daypass" HAPROXY="$(proxy_program haproxy)" DATABASE="$postgres_url" \
        python3 -B tests/proxies/rolling.py "$1"
}
