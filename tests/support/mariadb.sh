# A MariaDB server for one run: in a folder that is thrown away, on a free port. Sourced by tests/run.

mariadb_url=
mariadb_pid=

start_mariadb() { # folder
    command -v mariadbd > /dev/null || install_packages mariadb-server || return 1
    local port user
    user=$(id -un)
    mkdir -p "$1"
    if [ "$user" = root ]; then
        user=mysql
        chown mysql "$1"
    fi
    if ! mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --user="$user" \
        --datadir="$1/data" > "$1/log" 2>&1; then
        tail -n 20 "$1/log"
        return 1
    fi
    port=$(free_port)
    # Nothing of it outlives the run, so it need not wait for the disk.
    mariadbd --no-defaults --user="$user" --datadir="$1/data" --socket="$1/socket" --bind-address=127.0.0.1 \
        --port="$port" --pid-file="$1/pid" --innodb-flush-log-at-trx-commit=0 --innodb-use-native-aio=0 \
        --max-connections=300 >> "$1/log" 2>&1 &
    mariadb_pid=$!
    if ! await mariadb-admin --no-defaults --socket="$1/socket" --user=root ping; then
        tail -n 20 "$1/log"
        stop_mariadb
        return 1
    fi
    mariadb_url=mysql://root@127.0.0.1:$port/mysql
}

stop_mariadb() {
    [ -n "$mariadb_pid" ] || return 0
    kill "$mariadb_pid" 2> /dev/null || true
    wait "$mariadb_pid" 2> /dev/null || true
    mariadb_pid=
}
