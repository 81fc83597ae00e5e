# Linters of the OpenAPI document, and what else is written in Python, in target/tools. Sourced by tests/run.

install_validator() {
    [ -x target/tools/python/bin/openapi-spec-validator ] && return 0
    banner "installing openapi-spec-validator"
    install_python openapi-spec-validator==0.9.0
}

# An OAuth library whose judgement of the metadata is asked for.
install_authlib() {
    target/tools/python/bin/python -c 'import authlib' 2> /dev/null && return 0
    banner "installing Authlib"
    install_python authlib==1.9.10
}

install_redocly() {
    [ -x target/tools/node/node_modules/.bin/redocly ] && return 0
    command -v npm > /dev/null || install_packages npm || return 1
    banner "installing Redocly"
    npm install --loglevel=error --no-audit --no-fund --prefix target/tools/node @redocly/cli@2.77.0
}

lint_openapi() {
    REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
        target/tools/node/node_modules/.bin/redocly lint --config tests/support/redocly.yaml --max-problems 50 \
        openapi/openapi.json
}

install_spectral() {
    [ -x target/tools/spectral/node_modules/.bin/spectral ] && return 0
    command -v npm > /dev/null || install_packages npm || return 1
    banner "installing Spectral"
    npm install --loglevel=error --no-audit --no-fund --prefix target/tools/spectral @stoplight/spectral-cli@6.16.3
}

lint_for_clients() {
    target/tools/spectral/node_modules/.bin/spectral lint openapi/openapi.json \
        --ruleset tests/support/spectral.yaml --fail-severity hint
}
