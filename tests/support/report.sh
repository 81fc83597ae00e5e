# What was done, how it went, and the counts. Sourced by tests/run.

# Whoever serves packages may be away for a moment: the installers ask again, for some minutes. And pip keeps to itself what is
# no trouble here.
export PIP_RETRIES=10 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore NPM_CONFIG_FETCH_RETRIES=5

lines=()
failures=0
passed=0
failed=0

banner() {
    printf '\n== %s\n' "$*"
}

note() { # name, result, seconds
    lines+=("$(printf '%-22s %-40s %5s s' "$1" "$2" "$3")")
}

# Runs a check; a failure is remembered, and the next check runs all the same.
step() { # name, command...
    local name=$1 began=$SECONDS
    shift
    banner "$name"
    if "$@"; then
        note "$name" "ok" $((SECONDS - began))
    else
        failures=$((failures + 1))
        note "$name" "FAILED" $((SECONDS - began))
    fi
}

# Runs tests and adds up what their runners count.
suite() { # name, command...
    local name=$1 began=$SECONDS log=$work/suite.log ok=yes good bad
    shift
    banner "$name"
    "$@" 2>&1 | tee "$log" || ok=no
    good=$(counted passed "$log")
    bad=$(counted failed "$log")
    passed=$((passed + good))
    failed=$((failed + bad))
    if [ "$ok" = yes ] && [ "$good" -gt 0 ]; then
        note "$name" "ok: $good passed" $((SECONDS - began))
    else
        failures=$((failures + 1))
        note "$name" "FAILED: $good passed, $bad failed" $((SECONDS - began))
    fi
}

counted() { # word, log
    sed -n "s/^test result: .* \([0-9]*\) $1;.*/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'
}

# Something could not be checked here. On a machine of one's own that is said loudly; in CI it is a failure. If it was to be
# installed, what the installer said stands above.
left_out() { # name, why
    printf '\n%s\n!! LEFT OUT: %s\n!! %s\n%s\n' "$(rule)" "$1" "$2" "$(rule)"
    note "$1" "LEFT OUT: $2" 0
    [ "${CI:-}" != true ] || failures=$((failures + 1))
}

rule() {
    printf '!%.0s' {1..80}
}

summary() {
    banner "summary"
    printf '%s\n' "${lines[@]}"
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    [ "$failures" -eq 0 ] || exit 1
}

# Installs Debian packages, where that is possible: as root, with apt-get at hand.
install_packages() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null || return 1
    banner "installing $*"
    # A package that brings a server must not start it: the suite starts its own.
    local policy=/usr/sbin/policy-rc.d made=no
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
        made=yes
    fi
    local result=0
    # Another one may be installing as well, as new machines do by themselves.
    local patient=(-o Acquire::Retries=5 -o DPkg::Lock::Timeout=300)
    {
        apt-get "${patient[@]}" update -q &&
            DEBIAN_FRONTEND=noninteractive apt-get "${patient[@]}" install -qy --no-install-recommends "$@"
    } || result=1
    [ "$made" = no ] || rm -f "$policy"
    return $result
}

# Installs packages of Python's into target/tools/python.
install_python() { # what pip is to install...
    [ -x target/tools/python/bin/pip ] || python3 -m venv target/tools/python 2> /dev/null ||
        { install_packages python3-venv && python3 -m venv target/tools/python; } || return 1
    target/tools/python/bin/pip install --quiet "$@"
}

# A port that was free a moment ago.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Runs a command as a user of the server's, for servers refuse to run as root.
as_user() { # user, command...
    local user=$1
    shift
    if [ "$(id -u)" -eq 0 ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

gone() { # process id
    ! kill -0 "$1" 2> /dev/null
}

# Waits until a command succeeds, up to half a minute.
await() { # command...
    local tries
    for tries in $(seq 150); do
        "$@" > /dev/null 2>&1 && return 0
        sleep 0.2
    done
    return 1
}
