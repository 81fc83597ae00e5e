# Clients that are generated from the OpenAPI document, and Schemathesis, each before a server that runs. Sourced by
# tests/run, after daypass.sh.

needed_for() { # language
    case "$1" in
        Python) echo "Python that makes environments: install the package python3-venv" ;;
        TypeScript) echo "Node.js with npm: install the package npm" ;;
        Rust) echo "Java 17 for the generator: install the package openjdk-17-jre-headless" ;;
        Go) echo "Java 17 for the generator, or no Go: install the packages openjdk-17-jre-headless and golang-go" ;;
    esac
}

install_for() { # language
    case "$1" in
        Python) install_environment sdk ;;
        TypeScript) command -v npm > /dev/null || install_packages npm ;;
        Rust) install_environment sdk && install_java ;;
        Go) install_environment sdk && install_java && { command -v go > /dev/null || install_packages golang-go; } ;;
    esac
}

install_environment() { # name
    [ -x "target/tools/$1/bin/pip" ] && return 0
    python3 -m venv "target/tools/$1" 2> /dev/null || { install_packages python3-venv && python3 -m venv "target/tools/$1"; }
}

install_java() {
    command -v java > /dev/null || install_packages openjdk-17-jre-headless
}

install_schemathesis() {
    [ -x target/tools/schemathesis/bin/schemathesis ] && return 0
    install_environment schemathesis || return 1
    banner "installing Schemathesis"
    target/tools/schemathesis/bin/pip install --quiet -c tests/sdk/constraints.txt schemathesis==4.32.5
}

# Generates a client as the README says, and tries it.
try_client() { # language, folder
    local url
    generate "$1" || return 1
    start_for_clients "$2" || return 1
    ADMIN=admin PASSWORD=$admin_password "drive_${1,,}" "$url" || { tail -n 20 "$2/log"; return 1; }
}

generate() { # language
    local commands log=$work/generate.log
    # A block of the README that begins with the language's name.
    commands=$(awk -v first="# $1" '/^```$/ { inside = 0 } inside { print } previous == "```sh" && $0 == first { inside = 1 } { previous = $0 }' README.md)
    [ -n "$commands" ] || { echo "README.md does not say how to generate a client in $1"; return 1; }
    rm -rf "target/sdk/${1,,}" # what is generated no more must not stay
    PATH=$PWD/target/tools/sdk/bin:$PATH PIP_CONSTRAINT=$PWD/tests/sdk/constraints.txt bash -euo pipefail -c "$commands" > "$log" 2>&1 || { tail -n 50 "$log"; return 1; }
    # What a generator warns of is wrong with the document, but for what is allowed with a reason; what an installer warns of,
    # who had to ask twice, is not.
    ! grep -E '\b(WARN|ERROR)|Warning\(s\)|⚠' "$log" | grep -vE '^(WARNING: |npm (WARN|warn) )' |
        grep -vE -f <(grep -v '^#' tests/sdk/allowed-warnings)
}

# Sets url. Nothing that many logins or wrong passwords would run into is limited.
start_for_clients() { # folder
    local port
    port=$(free_port)
    cargo build --locked --quiet || return 1
    rm -rf "$1"
    start_daypass target/debug/daypass "$1" "$port" \
        DAYPASS_LIMITS__LOGIN_PER_MINUTE_PER_IP=0 DAYPASS_LIMITS__LOGIN_FAILURES_BEFORE_LOCK=1000000
    url=http://127.0.0.1:$port
    await is_ready "$url" || { tail -n 20 "$1/log"; return 1; }
}

is_ready() { # url
    python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/readyz")' "$1"
}

drive_python() { # url
    target/tools/sdk/bin/python tests/sdk/python.py "$1"
}

drive_typescript() { # url
    local folder=target/sdk/typescript
    npm install --loglevel=error --no-audit --no-fund --prefix "$folder" typescript@5.9.3 @types/node@20.19.25 || return 1
    cp tests/sdk/typescript.mts "$folder"
    # The types of Node.js are looked for where tsc runs.
    (cd "$folder" && npx tsc --strict --noUncheckedIndexedAccess --target es2022 --module nodenext typescript.mts) || return 1
    node "$folder/typescript.mjs" "$1"
}

# The lock file counts what the generated crate depends on too: should a generator or the document need another, cargo
# says so, and `cargo update -w --manifest-path tests/sdk/rust/Cargo.toml` writes it anew.
drive_rust() { # url
    CARGO_TARGET_DIR=target/sdk/cargo cargo run --quiet --locked --manifest-path tests/sdk/rust/Cargo.toml -- "$1"
}

# The generated package depends on Go's own library alone.
drive_go() { # url
    local folder=target/sdk/go
    cp tests/sdk/go.go "$folder/main.go"
    printf 'module client\n\ngo 1.19\n' > "$folder/go.mod"
    (cd "$folder" && GOPROXY=off GOTOOLCHAIN=local go vet . && GOPROXY=off GOTOOLCHAIN=local go build -o client .) || return 1
    "$folder/client" "$1"
}

# Requests that nobody thought of, each with a token of its own, or with none that works. Nothing is expected to be
# accepted in the latter case.
try_requests() { # with or without, folder
    local url options=()
    [ "$1" = with ] || options=(--exclude-checks positive_data_acceptance --warnings off)
    start_for_clients "$2" || return 1
    ADMIN=admin PASSWORD=$admin_password TOKEN=$1 BASE=$url \
        SCHEMATHESIS_HOOKS=schemathesis_hooks PYTHONPATH=tests/sdk PYTHONDONTWRITEBYTECODE=1 \
        target/tools/schemathesis/bin/schemathesis --config-file tests/sdk/schemathesis.toml \
        run openapi/openapi.json --url "$url" --no-color "${options[@]}"
}
