#!/usr/bin/env bash
# A MariaDB Galera cluster of three nodes for one run: on loopback, in a folder that is thrown away. Sourced by tests/run;
# run by itself it is how a test, or a person, takes one node away and brings it back.
#
# Nothing but the folder says what runs where, so every call may come from another process. In it, a folder for each node
# holds its data, its configuration (my.cnf), its socket, its log and the process id of its server (pid); urls holds the
# addresses, comma separated.

galera_folder=
galera_urls=

start_galera() { # folder, absolute here and below
    { galera_library && command -v mariadbd && command -v rsync; } > /dev/null ||
        install_packages mariadb-server galera-4 rsync lsof || return 1
    if [ -e "$1/urls" ]; then
        echo "$1 holds a cluster already" >&2
        return 1
    fi
    galera_folder=$1
    # The first one is asked before the others start: they get all they have from it.
    if galera_configure "$1" && galera_launch "$1" 1 --wsrep-new-cluster && galera_settled "$1" 1 1 &&
        galera_launch "$1" 2 && galera_launch "$1" 3 &&
        galera_settled "$1" 1 3 && galera_settled "$1" 2 3 && galera_settled "$1" 3 3; then
        galera_urls=$(cat "$1/urls")
    else
        stop_galera
        return 1
    fi
}

# As a machine that loses its power: nothing is written, nobody is told. Waits until the process is gone, and not until
# the others have noticed.
kill_galera_node() { # folder, node
    local pid
    pid=$(galera_pid "$1" "$2") || return 0
    kill -KILL "$pid" 2> /dev/null || true
    galera_gone "$pid"
}

# Starts a node that was killed, and waits until it is in step with the others, of which both must be there: one alone is
# no majority, and lets nobody in. They send what it missed if they still have it and it knows where it was, or else
# everything.
restart_galera_node() { # folder, node
    local position
    if galera_pid "$1" "$2" > /dev/null; then
        echo "node $2 is running" >&2
        return 1
    fi
    # After a kill the file that says where the node was does not; the tables do.
    position=$(mariadbd --defaults-file="$1/node$2/my.cnf" --wsrep-recover 2>&1 < /dev/null |
        tee -a "$1/node$2/log" | sed -n 's/.*Recovered position: *//p' | tail -n 1) || true
    galera_launch "$1" "$2" ${position:+"--wsrep-start-position=$position"}
    galera_settled "$1" "$2"
}

# Nothing of it outlives the run, so it need not end well.
stop_galera() { # folder; without one, that of start_galera
    local folder=${1:-$galera_folder} node
    [ -n "$folder" ] || return 0
    for node in 1 2 3; do
        kill_galera_node "$folder" $node
    done
    galera_folder=
    galera_urls=
}

# Where the replication library lies.
galera_library() {
    local path
    for path in /usr/lib/galera/libgalera_smm.so /usr/lib/libgalera_smm.so /usr/lib64/galera-4/libgalera_smm.so; do
        [ ! -e "$path" ] || { echo "$path" && return 0; }
    done
    return 1
}

# A configuration and data for each node.
galera_configure() { # folder
    local folder=$1 ports user node here members urls
    user=$(id -un)
    [ "$user" != root ] || user=mysql
    # For each node one for clients and three for its peers: replication, what it missed, and everything.
    read -ra ports < <(galera_ports 12)
    [ ${#ports[@]} -eq 12 ] || return 1
    members=127.0.0.1:${ports[1]},127.0.0.1:${ports[5]},127.0.0.1:${ports[9]}
    for node in 1 2 3; do
        here=$folder/node$node
        mkdir -p "$here/data"
        set -- "${ports[@]:$(((node - 1) * 4)):4}"
        cat > "$here/my.cnf" << CNF
[mariadbd]
user = $user
datadir = $here/data
socket = $here/socket
pid-file = $here/server.pid
bind-address = 127.0.0.1
port = $1
max-connections = 150
performance-schema = OFF
binlog-format = ROW
default-storage-engine = InnoDB
innodb-autoinc-lock-mode = 2
innodb-buffer-pool-size = 64M
innodb-log-file-size = 16M
innodb-flush-log-at-trx-commit = 0
innodb-use-native-aio = 0
wsrep-on = ON
wsrep-provider = $(galera_library)
wsrep-cluster-name = daypass-test
wsrep-cluster-address = gcomm://$members
wsrep-node-name = node$node
wsrep-node-address = 127.0.0.1:$2
wsrep-sst-method = rsync
wsrep-sst-receive-address = 127.0.0.1:$4
wsrep-provider-options = "gmcast.listen_addr=tcp://127.0.0.1:$2; ist.recv_addr=127.0.0.1:$3; gcache.size=32M; gcache.page_size=16M"
CNF
        urls=${urls:+$urls,}mysql://root@127.0.0.1:$1/mysql
        [ "$(id -u)" -ne 0 ] || chown mysql "$here" "$here/data"
    done
    echo "$urls" > "$folder/urls"
    # Tables for the first node only: the others get theirs from it when they join.
    if ! mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --user="$user" \
        --datadir="$folder/node1/data" --innodb-log-file-size=16M > "$folder/node1/log" 2>&1; then
        tail -n 20 "$folder/node1/log" >&2
        return 1
    fi
}

galera_launch() { # folder, node, option
    mariadbd --defaults-file="$1/node$2/my.cnf" ${3:+"$3"} < /dev/null >> "$1/node$2/log" 2>&1 &
    echo $! > "$1/node$2/pid"
    disown # or a shell that is to end it tells so
}

# The process id of a node's server, if it runs: the number alone may be somebody else's by now.
galera_pid() { # folder, node
    local pid
    pid=$(cat "$1/node$2/pid" 2> /dev/null) && galera_runs "$pid" &&
        tr '\0' '\n' < "/proc/$pid/cmdline" | grep -qx -e "--defaults-file=$1/node$2/my.cnf" && echo "$pid"
}

galera_runs() { # process id
    # Where nobody asks how a process ended, it stays as a name without a process.
    [ -e "/proc/$1" ] && ! grep -q '^State:[[:space:]]*[ZX]' "/proc/$1/status" 2> /dev/null
}

galera_gone() { # process id
    while galera_runs "$1"; do
        sleep 0.05
    done
}

# Waits until a node takes part, with as many others as there should be, up to a minute and a half.
galera_settled() { # folder, node, size of the cluster; without one, any
    local tries status
    for tries in $(seq 450); do
        status=$(mariadb --no-defaults --socket="$1/node$2/socket" --user=root --batch --skip-column-names --execute \
            "SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'wsrep_local_state_comment', 'wsrep_ready')" \
            2> /dev/null | sort | cut -f 2 | tr '\n' ' ') || true
        [[ "$status" != ${3:-[1-3]}" Synced ON " ]] || return 0
        galera_runs "$(cat "$1/node$2/pid")" || break
        sleep 0.2
    done
    echo "node $2 does not take part: ${status:-no answer}" >&2
    tail -n 40 "$1/node$2/log" >&2
    return 1
}

# Ports that were free a moment ago, below those that the system gives to clients: a node that is away keeps its own.
galera_ports() { # how many
    python3 - "$1" << 'PY'
import random, socket, sys

with open("/proc/sys/net/ipv4/ip_local_port_range") as limits:
    lowest = int(limits.read().split()[0])
upto = lowest if lowest > 12000 else 32768
found = []
for port in random.sample(range(10000, upto), upto - 10000):
    with socket.socket() as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            continue
    found.append(port)
    if len(found) == int(sys.argv[1]):
        break
print(*found)
PY
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    source "$(dirname "$0")/report.sh"
    usage() {
        cat >&2 << 'TXT'
tests/support/galera.sh start FOLDER       starts three nodes and prints their addresses, comma separated
tests/support/galera.sh kill FOLDER N      kills node N (1 to 3) without warning
tests/support/galera.sh restart FOLDER N   starts node N again, and waits until it is in step
tests/support/galera.sh stop FOLDER        kills all nodes
TXT
        exit 2
    }
    [ -n "${2:-}" ] || usage
    mkdir -p "$2"
    folder=$(cd "$2" && pwd)
    case "$1 ${3:-}" in
        "start ") start_galera "$folder" >&2 && echo "$galera_urls" ;;
        "stop ") stop_galera "$folder" ;;
        kill\ [123]) kill_galera_node "$folder" "$3" ;;
        restart\ [123]) restart_galera_node "$folder" "$3" ;;
        *) usage ;;
    esac
fi
