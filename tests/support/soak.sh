# The service at full load for long, and what of it grows. Sourced by tests/run and tests/long, after daypass.sh.

install_wrk() {
    command -v wrk > /dev/null || install_packages wrk
}

# Tries DAYPASS=PROGRAM, or else a debug build.
try_soak() { # folder, checks, distinct bad tokens, tokens that work, seconds to warm up, when to purge
    local program=${DAYPASS:-} port result=0
    if [ -z "$program" ]; then
        cargo build --locked --quiet || return 1
        program=target/debug/daypass
    fi
    port=$(free_port)
    # What is remembered is bounded by what is there before the load begins; and every request comes from one address. The log
    # is not cut off in the middle, which would look as if it had grown after.
    start_daypass "$program" "$1" "$port" DAYPASS_LOG__LEVEL=warn DAYPASS_LOG__FORMAT=json \
        DAYPASS_CHECK__CACHE_ENTRIES=$(($4 + $4 / 10)) DAYPASS_PASSWORDS__MEMORY_KIB=8 DAYPASS_PASSWORDS__ITERATIONS=1 \
        DAYPASS_LIMITS__LOGIN_PER_MINUTE_PER_IP=0 DAYPASS_LIMITS__LOCK_FOR=10s \
        DAYPASS_MAINTENANCE__RETAIN_EXPIRED=0s DAYPASS_MAINTENANCE__RETAIN_REVOKED=0s \
        DAYPASS_MAINTENANCE__PURGE_SCHEDULE="$6" DAYPASS_MAINTENANCE__CHANGES_SCHEDULE="$6" \
        DAYPASS_MAINTENANCE__COUNTERS_SCHEDULE="$6" DAYPASS_MAINTENANCE__SQLITE_SCHEDULE='0 0 0 1 1 *'
    python3 -B tests/support/soak.py "$port" "$(cat "$1/process")" "${@:1:5}" || result=1
    [ "$result" -eq 0 ] || tail -n 20 "$1/log"
    return "$result"
}
