#!/usr/bin/env bash
# Makes a folder with Debian trixie's RabbitMQ (4.x) in it, for tests that run it in a chroot, and prints its path. Needs root. Does
# nothing when the folder is there.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "rabbitmq4: $*" >&2; exit 1; }

[[ $(id -u) -eq 0 ]] || fail "run it as root: it makes a folder to chroot into"
# Not in the source tree: its owners and devices are none of a checkout's business.
root=${RABBITMQ_ROOT:-/var/lib/integrations-tests/rabbitmq4}
if [[ ! -e $root/.complete ]]; then
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: scripts/setup.sh test long"
    rm -rf "$root"
    mkdir -p "$(dirname "$root")"
    mirror=$(awk '/^deb / { print $2; exit } /^URIs: / { print $2; exit }' /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null || :)
    mmdebstrap --quiet --variant=essential --include=rabbitmq-server \
        trixie "$root" "${mirror:-http://deb.debian.org/debian}" >&2
    # The name of the host that the node is called by.
    echo "127.0.0.1 localhost" >"$root/etc/hosts"
    touch "$root/.complete"
fi
echo "$root"
