# A tool for attacks with slow requests. Sourced by tests/run and tests/slow.

install_slowhttptest() {
    command -v slowhttptest > /dev/null || install_packages slowhttptest
}
