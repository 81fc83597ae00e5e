# The pages for people, in a headless Chromium before a server that runs. Sourced by tests/run, after daypass.sh.

chromium_program() {
    command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome
}

install_browser() {
    chromium_program > /dev/null || install_packages chromium || return 1
    local modules=target/tools/browser/node_modules
    [ -d "$modules/playwright-core" ] && [ -d "$modules/axe-core" ] && return 0
    command -v npm > /dev/null || install_packages npm || return 1
    banner "installing Playwright and axe"
    npm install --loglevel=error --no-audit --no-fund --prefix target/tools/browser playwright-core@1.65.1 axe-core@4.14.1
}

try_pages() { # folder
    local port
    port=$(free_port)
    cargo build --locked --quiet || return 1
    start_daypass target/debug/daypass "$1" "$port"
    local page result=0
    for page in landing console docs; do
        banner "$page"
        ADMIN=admin PASSWORD=$admin_password CHROMIUM=$(chromium_program) \
            node "tests/browser/$page.mjs" "http://127.0.0.1:$port" || result=1
    done
    [ "$result" -eq 0 ] || tail -n 20 "$1/log"
    return "$result"
}
