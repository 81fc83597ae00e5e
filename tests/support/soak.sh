# The service at full load for long, and what of it grows. Sourced by tests/run and tests/long.

install_wrk() {
    command -v wrk > /dev/null || install_packages wrk
}

try_soak() { # folder, checks, distinct bad tokens, tokens that work, seconds to warm up; DAYPASS=PROGRAM is tried in place of a debug build
    local program=${DAYPASS:-} schedule=${purge_schedule:-'*/5 * * * * *'} port password='violet lamps hum quietly' result=0
    if [ -z "$program" ]; then
        cargo build --locked --quiet || return 1
        program=$PWD/target/debug/daypass
    fi
    mkdir -p "$1"
    port=$(free_port)
    # What is remembered is bounded by what is there before the load begins; and every request comes from one address.
    (
        cd "$1"
        DAYPASS_ADMIN_PASSWORD=$password DAYPASS_LISTEN=127.0.0.1:$port DAYPASS_DATABASE_URL=sqlite://daypass.db \
            DAYPASS_LOG__LEVEL=warn DAYPASS_LOG__FORMAT=json DAYPASS_CHECK__CACHE_ENTRIES=$(($4 + $4 / 10)) \
            DAYPASS_PASSWORDS__MEMORY_KIB=8 DAYPASS_PASSWORDS__ITERATIONS=1 \
            DAYPASS_LIMITS__LOGIN_PER_MINUTE_PER_IP=0 DAYPASS_LIMITS__LOCK_FOR=10s \
            DAYPASS_MAINTENANCE__RETAIN_EXPIRED=0s DAYPASS_MAINTENANCE__RETAIN_REVOKED=0s \
            DAYPASS_MAINTENANCE__PURGE_SCHEDULE=$schedule DAYPASS_MAINTENANCE__CHANGES_SCHEDULE=$schedule \
            DAYPASS_MAINTENANCE__COUNTERS_SCHEDULE=$schedule \
            exec "$program" serve > log 2>&1
    ) &
    echo $! > "$1/process"
    python3 -B tests/support/soak.py "$port" "$(cat "$1/process")" "$1" "$2" "$3" "$4" "$5" || result=1
    [ "$result" -eq 0 ] || tail -n 20 "$1/log"
    return "$result"
}
