# The library in programs of one's own: the examples, and the client that asks a Daypass elsewhere. Sourced by tests/run.

install_tls() {
    { command -v openssl && command -v python3; } > /dev/null || install_packages openssl python3
}

# The tests start what was built first.
try_guards() {
    cargo build --locked --quiet --examples --features remote || return 1
    cargo test --locked --features remote --test guard
}
