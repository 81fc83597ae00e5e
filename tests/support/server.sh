#!/usr/bin/env bash
# A PostgreSQL or MariaDB server that a test may kill, in a folder that is thrown away. Unlike those of tests/run it waits for the
# disk, as it would in earnest.
set -euo pipefail
source "$(dirname "$0")/report.sh"
source "$(dirname "$0")/postgres.sh"

usage() {
    cat >&2 << 'TXT'
tests/support/server.sh ENGINE start FOLDER    makes a server (postgres or mariadb) and prints its address
tests/support/server.sh ENGINE again FOLDER    starts it again where it was
tests/support/server.sh ENGINE kill FOLDER     kills it without warning
tests/support/server.sh ENGINE stop FOLDER     asks it to end, and its sessions with it
TXT
    exit 2
}

# A port that stays the same from the first start on. It is chosen at the last moment: others look for free ones, too.
choose_port() {
    [ -e "$folder/port" ] || free_port > "$folder/port"
}

launch_postgres() {
    choose_port
    as_user postgres "$(postgres_program pg_ctl)" -D "$folder/data" -l "$folder/log" -w start \
        -o "-p $(cat "$folder/port") -k $folder -c listen_addresses=127.0.0.1 -c max_connections=20"
}

start_postgres_server() {
    postgres_program initdb > /dev/null || install_packages postgresql
    own postgres
    as_user postgres "$(postgres_program initdb)" -D "$folder/data" -U postgres --auth=trust -E UTF8
    launch_postgres
}

kill_postgres() {
    kill -9 "$(head -n 1 "$folder/data/postmaster.pid")"
}

stop_postgres_server() {
    as_user postgres "$(postgres_program pg_ctl)" -D "$folder/data" -m fast -w stop
}

launch_mariadb() {
    choose_port
    mariadbd --no-defaults --user="$(mariadb_user)" --datadir="$folder/data" --socket="$folder/socket" \
        --bind-address=127.0.0.1 --port="$(cat "$folder/port")" --pid-file="$folder/pid" --innodb-use-native-aio=0 \
        --max-connections=20 < /dev/null >> "$folder/log" 2>&1 &
    disown
    await mariadb-admin --no-defaults --socket="$folder/socket" --user=root ping
}

mariadb_user() {
    if [ "$(id -u)" -eq 0 ]; then echo mysql; else id -un; fi
}

start_mariadb_server() {
    command -v mariadbd > /dev/null || install_packages mariadb-server
    own mysql
    mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db \
        --user="$(mariadb_user)" --datadir="$folder/data"
    launch_mariadb
}

kill_mariadb() {
    kill -9 "$(cat "$folder/pid")"
}

stop_mariadb_server() {
    local pid
    pid=$(cat "$folder/pid")
    kill "$pid"
    await gone "$pid"
}

# Servers refuse to run as root.
own() { # user
    [ "$(id -u)" -ne 0 ] || chown "$1" "$folder"
}

[ $# -eq 3 ] || usage
folder=$(cd "$3" && pwd)
case "$1 $2" in
    "postgres start" | "mariadb start")
        chmod 755 "$folder"
        "start_${1}_server" >&2
        case "$1" in
            postgres) echo "postgres://postgres@127.0.0.1:$(cat "$folder/port")/postgres" ;;
            mariadb) echo "mysql://root@127.0.0.1:$(cat "$folder/port")/mysql" ;;
        esac
        ;;
    # After a kill the last sessions of PostgreSQL take a moment to notice.
    "postgres again" | "mariadb again") await "launch_$1" ;;
    "postgres kill" | "mariadb kill") "kill_$1" ;;
    "postgres stop" | "mariadb stop") "stop_${1}_server" >&2 ;;
    *) usage ;;
esac
