# The services that benches/run compares with, in target/tools. Sourced by benches/run.

install_django() {
    local folder=target/tools/peers-python
    cmp -s benches/peers/requirements.txt $folder/requirements.txt && return 0
    python3 -m venv $folder 2> /dev/null || { install_packages python3-venv && python3 -m venv $folder; } || return 1
    $folder/bin/pip install --quiet --disable-pip-version-check -r benches/peers/requirements.txt || return 1
    cp benches/peers/requirements.txt $folder/
}

install_oidc_provider() {
    local folder=target/tools/peers-node
    command -v npm > /dev/null || install_packages npm || return 1
    mkdir -p $folder
    cp benches/peers/oidc_peer.mjs $folder/
    cmp -s benches/peers/package.json $folder/package.json && return 0
    cp benches/peers/package.json $folder/
    npm install --silent --no-audit --no-fund --prefix $folder || { rm $folder/package.json; return 1; }
}
