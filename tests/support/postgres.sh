# A PostgreSQL server for one run: in a folder that is thrown away, on a free port. Sourced by tests/run.

postgres_url=
postgres_folder=

postgres_program() { # name
    command -v "$1" || find /usr/lib/postgresql -path "*/bin/$1" 2> /dev/null | sort -V | tail -n 1 | grep .
}

start_postgres() { # folder, options that overrule these
    postgres_program initdb > /dev/null || install_packages postgresql || return 1
    mkdir -p "$1"
    [ "$(id -u)" -ne 0 ] || chown postgres "$1"
    as_user postgres "$(postgres_program initdb)" -D "$1/data" -U postgres --auth=trust -E UTF8 > "$1/log" 2>&1 ||
        { tail -n 20 "$1/log"; return 1; }
    local port options
    port=$(free_port)
    # Nothing of it outlives the run, so it need not wait for the disk.
    options="-p $port -k $1 -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200 ${2:-}"
    if as_user postgres "$(postgres_program pg_ctl)" -D "$1/data" -l "$1/server.log" -w -o "$options" start >> "$1/log" 2>&1; then
        postgres_folder=$1
        postgres_url=postgres://postgres@127.0.0.1:$port/postgres
    else
        tail -n 20 "$1/log" "$1/server.log"
        return 1
    fi
}

stop_postgres() {
    [ -n "$postgres_folder" ] || return 0
    as_user postgres "$(postgres_program pg_ctl)" -D "$postgres_folder/data" -m immediate stop > /dev/null || true
    postgres_folder=
}
