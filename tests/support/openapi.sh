# Linters of the OpenAPI document, in target/tools. Sourced by tests/run.

install_validator() {
    [ -x target/tools/python/bin/openapi-spec-validator ] && return 0
    install_python || return 1
    banner "installing openapi-spec-validator"
    target/tools/python/bin/pip install --quiet --disable-pip-version-check openapi-spec-validator==0.9.0
}

install_redocly() {
    [ -x target/tools/node/node_modules/.bin/redocly ] && return 0
    command -v npm > /dev/null || install_packages npm || return 1
    banner "installing Redocly"
    npm install --silent --no-audit --no-fund --prefix target/tools/node @redocly/cli@2.77.0
}

lint_openapi() {
    REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
        target/tools/node/node_modules/.bin/redocly lint --config tests/support/redocly.yaml --max-problems 50 \
        openapi/openapi.json
}
