#!/usr/bin/env bash
# Builds and starts the service with a simulated Telegram, connects the simulator's demo bot, and prints how to go on.
# Ctrl-C stops everything. Settings from INTEGRATIONS_* variables and integrations.toml apply; PORT is the first port tried.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
echo "Building..."
cargo build --locked --quiet -p service -p telegram-sim
bin=${CARGO_TARGET_DIR:-target}/debug
state=$(mktemp -d)

# Background jobs get process groups of their own: Ctrl-C reaches only this script, which then stops them in order.
set -m
sim='' service=''
stop() {
    trap '' INT TERM
    # A process that has ended already is what we want.
    [[ -n $service ]] && { kill -TERM "$service" 2>/dev/null || :; wait "$service" 2>/dev/null || :; }
    [[ -n $sim ]] && { kill -TERM "$sim" 2>/dev/null || :; wait "$sim" 2>/dev/null || :; }
    rm -rf "$state"
}
trap stop EXIT
trap 'echo; echo "Stopping..."; exit 0' INT TERM

fail() { echo "$*" >&2; exit 1; }

is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first free port from $1 on.
free_port() {
    local port
    for port in $(seq "$1" $(($1 + 50))); do
        if is_free "$port"; then
            [[ $port -eq $1 ]] || echo "Port $1 is in use: taking $port." >&2
            echo "$port"
            return
        fi
    done
    fail "The ports $1 to $port are all in use: stop what uses them, or set PORT to another one."
}

# field NAME < JSON: the first value of that name; enough for the flat answers that are read here.
field() { sed -nE "s/.*\"$1\": *\"?([^\",}]*)\"?.*/\1/p" | head -n 1; }

# The private PostgreSQL does not run as root, so its user must be able to reach the data.
export INTEGRATIONS_DATA_DIR=${INTEGRATIONS_DATA_DIR:-$PWD/data}
if [[ $(id -u) -eq 0 && -z ${INTEGRATIONS_DATABASE__URL:-} ]]; then
    user=postgres
    id -u "$user" >/dev/null 2>&1 || user=nobody
    parent=$(dirname "$INTEGRATIONS_DATA_DIR")
    if ! setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups test -x "$parent"; then
        INTEGRATIONS_DATA_DIR=/var/lib/integrations/run-$(printf %s "$PWD" | cksum | cut -d ' ' -f 1)
        echo "PostgreSQL's user $user cannot enter $parent: the data is in $INTEGRATIONS_DATA_DIR."
    fi
fi

port=$(free_port "${PORT:-8080}")
sim_port=$(free_port "$((port + 10))")

mkdir -p "$INTEGRATIONS_DATA_DIR"
"$bin/telegram-sim" --bot-api 127.0.0.1:0 --mtproto 127.0.0.1:0 \
    --mtproto-state "$INTEGRATIONS_DATA_DIR/telegram-sim.json" --control "127.0.0.1:$sim_port" \
    </dev/null >"$state/sim.json" 2>"$state/sim.log" &
sim=$!
until [[ -s $state/sim.json ]]; do
    kill -0 "$sim" 2>/dev/null || fail "telegram-sim ended: $(cat "$state/sim.log")"
    sleep 0.05
done
bot_api=$(field bot_api <"$state/sim.json")
mtproto=$(field mtproto <"$state/sim.json")
phone=$(field demo_phone <"$state/sim.json")
bot_token=$(field demo_bot_token <"$state/sim.json")
chat=$(sed -nE 's/.*"demo_chat_ids": *\[ *(-?[0-9]+).*/\1/p' "$state/sim.json")

export INTEGRATIONS_HTTP__BIND=127.0.0.1:$port
export INTEGRATIONS_TELEGRAM__BOT_API_URL=http://$bot_api
# Nobody else takes the updates of simulated bots.
export INTEGRATIONS_TELEGRAM__BOT_UPDATES=${INTEGRATIONS_TELEGRAM__BOT_UPDATES:-polling}
# The simulator takes any application; with a real one configured, accounts connect to the real Telegram.
if [[ -z ${INTEGRATIONS_TELEGRAM__API_ID:-} ]]; then
    export INTEGRATIONS_TELEGRAM__API_ID=1 INTEGRATIONS_TELEGRAM__API_HASH=00000000000000000000000000000000
    export INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS=$mtproto
    export INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL=http://127.0.0.1:$sim_port/mtproto/keys
fi
"$bin/integrations" serve </dev/null &
service=$!
base=http://127.0.0.1:$port
until curl -fs -o /dev/null "$base/health/ready"; do
    kill -0 "$service" 2>/dev/null || fail "The service ended; its last lines above say why."
    sleep 0.1
done

token=$("$bin/integrations" token --user 1 --scope integrations:read integrations:write messages:send --ttl 30d)
bots=$base/api/integrations/telegram/bots
api() { curl -s -H "Authorization: Bearer $token" -H 'Content-Type: application/json' "$@"; }
bot=$(api "$bots" -d "{\"token\": \"$bot_token\"}" | field id)
# Connected at an earlier start.
if [[ -z $bot ]]; then
    name=$(curl -fs "http://$bot_api/bot$bot_token/getMe" | field username)
    bot=$(api "$bots?username=$name" | field id)
fi
[[ -n $bot ]] || fail "The demo bot could not be connected: $(api "$bots" -d "{\"token\": \"$bot_token\"}")"

cat <<TXT

The service runs, with a simulated Telegram.

  API docs   $base/docs
  Telegram   http://127.0.0.1:$sim_port/  (the simulator: what the messages look like)
  Token      $token
             (user 1, for 30 days; make another with: INTEGRATIONS_DATA_DIR=$INTEGRATIONS_DATA_DIR $bin/integrations token --user 7)

Send a message through the demo bot:

  curl $bots/$bot/send -H 'Authorization: Bearer $token' -H 'Content-Type: application/json' -d '{"chat_id": $chat, "text": "Hello"}'

Watch what happens, also what people write to the bot on the simulator's page:

  curl -N $base/api/integrations/events -H 'Authorization: Bearer $token'

Connect an account: Telegram sends its code to the simulated phone +$phone, which the simulator's page shows.

  curl $base/api/integrations/telegram/connect -H 'Authorization: Bearer $token' -H 'Content-Type: application/json' -d '{"method": "phone", "phone": "+$phone"}'

Ctrl-C stops everything. The data stays in $INTEGRATIONS_DATA_DIR.

TXT
wait -n "$service" "$sim" || :
fail "A process ended unexpectedly; the lines above say why."
