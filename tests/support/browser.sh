# The pages for people, in a headless Chromium before a server that runs. Sourced by tests/run.

chromium_program() {
    command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome
}

install_browser() {
    chromium_program > /dev/null || install_packages chromium || return 1
    local modules=target/tools/browser/node_modules
    [ -d "$modules/playwright-core" ] && [ -d "$modules/axe-core" ] && return 0
    command -v npm > /dev/null || install_packages npm || return 1
    banner "installing Playwright and axe"
    npm install --silent --no-audit --no-fund --prefix target/tools/browser playwright-core@1.65.1 axe-core@4.14.1
}

start_daypass() { # folder, port
    mkdir -p "$1"
    local program=$PWD/target/debug/daypass
    (
        cd "$1"
        DAYPASS_ADMIN_PASSWORD=$admin_password DAYPASS_DATABASE_URL=sqlite://daypass.db DAYPASS_LISTEN=127.0.0.1:$2 \
            DAYPASS_MAINTENANCE__PURGE_SCHEDULE='0 0 0 1 1 *' \
            exec "$program" serve > log 2>&1
    ) &
    echo $! > "$1/process"
}

stop_daypass() { # folder
    local file=$1/process process
    [ -e "$file" ] || return 0
    process=$(cat "$file")
    rm -f "$file"
    kill "$process" 2> /dev/null || return 0
    await gone "$process" || kill -9 "$process" 2> /dev/null || true
}

gone() { # process
    ! kill -0 "$1"
}

try_pages() { # folder
    local port admin_password='violet lamps hum quietly'
    port=$(free_port)
    cargo build --locked --quiet || return 1
    start_daypass "$1" "$port"
    local page result=0
    for page in landing console docs; do
        banner "$page"
        ADMIN=admin PASSWORD=$admin_password CHROMIUM=$(chromium_program) \
            node "tests/browser/$page.mjs" "http://127.0.0.1:$port" || result=1
    done
    [ "$result" -eq 0 ] || tail -n 20 "$1/log"
    return "$result"
}
