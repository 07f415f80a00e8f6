#!/usr/bin/env bash
# Installs what `make run` needs and this machine lacks, with the argument `test` also what `make test` needs, and with
# `test long` what `make test-long` needs: through apt on Debian and its relatives; on other
# systems it says what to install. When nothing is missing it changes nothing.
set -euo pipefail

fail() { echo "setup: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

have_postgres() {
    local folder
    for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin ${PATH//:/ }; do
        [[ -x $folder/initdb && -x $folder/postgres ]] && return 0
    done
    return 1
}

# What is missing: the apt package, and what it is for people on other systems.
packages=() names=()
need() { packages+=("$1"); names+=("$2"); }
have_postgres || need postgresql "the PostgreSQL server, 15 or newer, with its contrib modules"
have cc || need "gcc libc6-dev" "a C compiler (cc)"
have make || need make "GNU make"
have curl || need curl "curl"
python3 -c 'import ensurepip, venv' 2>/dev/null || need "python3 python3-venv" "Python 3 with its venv module"

if [[ ${1:-} == test ]]; then
    compgen -G '/usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server' >/dev/null || need rabbitmq-server "the RabbitMQ server"
    have openssl || need openssl "openssl"
    have redis-server || need redis-server "the Redis server"
    [[ -x /usr/sbin/haproxy ]] || need haproxy "HAProxy"
fi
if [[ ${1:-} == test && ${2:-} == long ]]; then
    have mmdebstrap || need mmdebstrap "mmdebstrap"
fi

have cargo || fail "Rust is missing: install it from https://rustup.rs"
[[ ${#packages[@]} -eq 0 ]] && exit 0

if ! have apt-get; then
    echo "setup: this system has no apt-get. Please install:" >&2
    printf '  - %s\n' "${names[@]}" >&2
    exit 1
fi
as_root=()
if [[ $(id -u) -ne 0 ]]; then
    have sudo || fail "as root, run: apt-get install ${packages[*]}"
    as_root=(sudo)
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# The lists have a lock of their own, for which apt-get does not wait.
update() {
    local try
    for try in {1..30}; do
        apt update && return 0
        echo "setup: cannot update the package lists (attempt $try), trying again" >&2
        sleep 5
    done
    fail "cannot update the package lists"
}

# Tests start servers of their own; those that Debian would start at once are not needed, and would take the usual ports.
if [[ " ${packages[*]} " =~ " rabbitmq-server "|" redis-server "|" haproxy " ]] && [[ ! -e /usr/sbin/policy-rc.d ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
    "${as_root[@]}" chmod 755 /usr/sbin/policy-rc.d
    trap '"${as_root[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
fi

# The service runs a PostgreSQL of its own; the one that Debian would start at once is not needed.
if [[ " ${packages[*]} " == *" postgresql "* ]]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/no-main-cluster.conf >/dev/null
fi

echo "setup: installing ${packages[*]}"
# shellcheck disable=SC2068 # an entry may be several packages
apt install -y --no-install-recommends ${packages[@]} || { update && apt install -y --no-install-recommends ${packages[@]}; }

have_postgres || fail "PostgreSQL was installed, but its server binaries are not where they are looked for"
