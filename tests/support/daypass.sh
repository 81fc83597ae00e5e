# A service that is tried from outside, on an SQLite file in its folder. Sourced by what does that.

admin_password='violet lamps hum quietly' # of the services that are started here

start_daypass() { # program, folder, port, and more of its environment as NAME=VALUE
    local program
    program=$(realpath "$1")
    mkdir -p "$2"
    (
        cd "$2" &&
            exec env DAYPASS_ADMIN_PASSWORD="$admin_password" DAYPASS_DATABASE_URL=sqlite://daypass.db \
                DAYPASS_LISTEN="127.0.0.1:$3" DAYPASS_MAINTENANCE__PURGE_SCHEDULE='0 0 0 1 1 *' "${@:4}" \
                "$program" serve > log 2>&1
    ) &
    echo $! > "$2/process"
}

stop_daypass() { # folder
    local file=$1/process process
    [ -e "$file" ] || return 0
    process=$(cat "$file")
    rm -f "$file"
    kill "$process" 2> /dev/null || return 0
    await gone "$process" || kill -9 "$process" 2> /dev/null || true
}
