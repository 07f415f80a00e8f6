#!/usr/bin/env bash
# Uses `make run` as a newcomer does: starts it although its port is in use, pastes the line that it prints, ends it with
# Ctrl-C, and starts it again on the same data. What it prints last is "ok" or what is wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

# The time within which each thing must happen; only a failure takes so long.
patience=${PATIENCE:-600}

work=$(mktemp -d)
# PostgreSQL runs as another user when this runs as root.
chmod 755 "$work"
# Each background job is a process group of its own, to which Ctrl-C can be sent, as a terminal does.
set -m
run='' blocker=''
stop() {
    [[ -n $run ]] && { kill -INT -- "-$run" 2>/dev/null || :; wait "$run" 2>/dev/null || :; }
    [[ -n $blocker ]] && { kill "$blocker" 2>/dev/null || :; wait "$blocker" 2>/dev/null || :; }
    rm -rf "$work"
}
trap stop EXIT

fail() {
    echo "check-run: $*" >&2
    [[ -s $work/out ]] && { echo "check-run: it said:"; tail -n 40 "$work/out"; } >&2
    exit 1
}

# until_so WHAT COMMAND...: waits until the command succeeds.
until_so() {
    local what=$1 end=$((SECONDS + patience))
    shift
    until "$@"; do
        [[ $SECONDS -lt $end ]] || fail "waited too long: $what"
        sleep 0.1
    done
}

printed_or_ended() { grep -q '^  curl .*/send' "$work/out" || ! kill -0 "$run" 2>/dev/null; }
ended() { ! kill -0 "$run" 2>/dev/null; }
printed() { sed -nE "s/^  $1 +(http[^ ]*).*/\1/p" "$work/out"; }

# start: runs it until it has printed how to send a message.
start() {
    : >"$work/out"
    # A shell that itself was started in the background ignores the signal, and so would everything below it.
    PORT=$port INTEGRATIONS_DATA_DIR=$work/data env --default-signal=INT make -s run >"$work/out" 2>&1 &
    run=$!
    until_so "a line to paste" printed_or_ended
    grep -q '^  curl .*/send' "$work/out" || fail "it ended"
    line=$(grep -m 1 '^  curl .*/send' "$work/out")
}

arrived() { curl -fsS "$(printed Telegram)messages" | grep -qF '"Hello"'; }

# send: pastes the line, and waits until the message is in the simulator.
send() {
    bash -c "$line" >"$work/answer" 2>"$work/errors" || fail "the line failed: $(cat "$work/errors")"
    grep -q '"status":"queued"' "$work/answer" || fail "the line's answer: $(cat "$work/answer")"
    until_so "the message arrives" arrived
}

# Processes with the folder in their command line or environment: the service's, the simulator's, PostgreSQL's.
left_over() { grep -lsF "$work" /proc/[0-9]*/cmdline /proc/[0-9]*/environ; }

# interrupt: Ctrl-C, after which nothing may be left.
interrupt() {
    kill -INT -- "-$run"
    until_so "it ends" ended
    { wait "$run" || :; } 2>/dev/null
    run=''
    left_over >"$work/left" && fail "still running: $(cat "$work/left")"
    return 0
}

# A port in use: the next one that is free is taken. It is below those that the system gives to connections: of these, one that
# nobody listens on can still be taken.
python3 -c '
import random, socket, time
with open("/proc/sys/net/ipv4/ip_local_port_range") as range:
    end = int(range.read().split()[0]) - 100
while True:
    try:
        listener = socket.create_server(("127.0.0.1", random.randrange(10000, end)))
        break
    except OSError:
        pass
print(listener.getsockname()[1], flush=True)
time.sleep(86400)' >"$work/port" &
blocker=$!
until_so "a port is taken" test -s "$work/port"
port=$(cat "$work/port")

start
grep -q "^Port $port is in use: taking" "$work/out" || fail "it did not say that port $port is in use"
[[ $(printed 'API docs') != *":$port/"* ]] || fail "it took port $port"
curl -fsS -o /dev/null -L "$(printed 'API docs')" || fail "the address of the API docs does not work"
send
bot=$(sed -E 's/.*bots\/([^/]+)\/send.*/\1/' <<<"$line")
interrupt

start
[[ $line == *"/bots/$bot/send"* ]] || fail "the bot of the first start is gone"
token=$(sed -nE 's/^  Token +([^ ]+)$/\1/p' "$work/out")
api=$(sed -E 's/.*curl (http[^ ]*)\/telegram\/bots.*/\1/' <<<"$line")
curl -fsS -H "Authorization: Bearer $token" "$api/messages?status=sent" | grep -qF '"Hello"' || fail "the message of the first start is gone"
send
interrupt
echo "check-run: ok"
