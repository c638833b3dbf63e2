#!/usr/bin/env bash
# The main job, to look at: a visit's recordings are made and imported while the server is down; then the server comes up
# and everything is received. Called by `make run`; ONCE=1 ends by itself, CARD=PATH imports a real card.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/.build/debug
once=${ONCE:-} card=${CARD:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/ess-demo.XXXXXX")
config=$work/laptop/agent.conf
children=()

finish() {
    local status=$?
    trap - EXIT INT TERM
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
    for child in "${children[@]}"; do wait "$child" 2>/dev/null || true; done
    if [[ $once && $status == 0 && ! $card ]]; then
        rm -rf "$work"
    else
        echo; echo "Everything of this run is in $work"
    fi
    exit $status
}
trap finish EXIT
trap 'exit 0' INT TERM

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
agent() { "$bin/ess-agent" "$@" --config "$config"; }
json() { python3 -c "import json,sys; data=json.load(sys.stdin); print($1)"; }
until_true() { # DESCRIPTION SECONDS COMMAND...
    local what=$1 left=$(($2 * 5)); shift 2
    until "$@" >/dev/null 2>&1; do
        ((left-- > 0)) || { echo "gave up waiting: $what" >&2; tail -n 20 "$work"/*.log >&2; exit 1; }
        sleep 0.2
    done
}
start_server() {
    rm -f "$work/port"
    "$bin/ess-server" serve --directory "$work/server" --port "${port:-0}" --port-file "$work/port" >>"$work/server.log" 2>&1 &
    server=$!; children+=("$server")
    until_true "the server" 30 test -s "$work/port"
    port=$(<"$work/port")
}
stop_server() { kill "$server"; wait "$server" 2>/dev/null || true; }

mkdir -p "$work/laptop"
say "A server of the ESS is made: its CA, a fictional day of visits, a certificate for this laptop"
"$bin/ess-server" init --directory "$work/server"
"$bin/ess-server" seed --directory "$work/server"
"$bin/ess-server" enrol --directory "$work/server" --name demo-laptop --output "$work/laptop"
start_server

cat > "$config" <<CONF
state-directory = $work/laptop/state
socket = $work/laptop/api.sock
server = https://localhost:$port
server-ca = $work/laptop/ca.pem
client-certificate = $work/laptop/client.pem
client-key = $work/laptop/client.key
test-server = yes
retry-min = 1
retry-max = 3
port = $work/ttySIM0 contec-oximeter
port = $work/ttySIM1 contec-legacy
port = $work/ttySIM2 contec-8000
CONF
"$bin/ess-agent" serve --config "$config" >>"$work/agent.log" 2>&1 &
daemon=$!; children+=("$daemon")
until_true "the agent" 30 agent status

say "Before leaving, online: the day's visits come down"
have_visits() { [[ $(agent visits --json | json 'len(data)') != 0 ]]; }
until_true "visits" 30 have_visits
agent visits
visit=$(agent visits --json | json 'data[0]["id"]')

say "In the house, no network: the server is down from here on"
stop_server
device=$(agent devices --json | json 'next((d["name"] for d in data if d["state"] == "ready"), "")')
if [[ -z $device ]]; then
    echo "No recorder is plugged in: a simulated oximeter with a night in its memory is put on a pty."
    "$bin/ess-sim" oximeter --link "$work/ttySIM0" --night-seconds 28800 >>"$work/sim.log" 2>&1 &
    children+=("$!")
    device=ttySIM0
fi
is() { [[ $(agent devices --json | json "any(d['name'] == '$1' and d['state'] == '$2' for d in data)") == True ]]; }
is_gone() { [[ $(agent devices --json | json "any(d['name'] == '$1' for d in data)") == False ]]; }
plug() { "$bin/ess-sim" play "$2" --link "$work/$1" >>"$work/sim.log" 2>&1 & children+=("$!"); }
until_true "the oximeter" 30 is "$device" ready
agent devices

say "The visit is opened, the night is downloaded"
agent visit open "$visit"
agent download "$device" || true

say "A short live capture"
agent start "$device"
sleep 4
agent stop "$device"

say "Two more are plugged in: an oximeter of the old kind, and an ECG whose cable is pulled while it streams"
plug ttySIM1 contec-legacy
plug ttySIM2 contec-8000; ecg=$!
until_true "the old oximeter" 30 is ttySIM1 ready
until_true "the ECG" 30 is ttySIM2 ready
agent devices
agent download ttySIM1
agent start ttySIM2
sleep 3
kill -9 "$ecg"; rm -f "$work/ttySIM2"
until_true "the ECG is gone" 30 is_gone ttySIM2
agent devices
# The old oximeter has hours and minutes, no date: the nurse says when its night began.
agent recordings --json | json '"\n".join(r["id"] for r in data if not r.get("start"))' | while read -r recording; do
    if [[ $recording ]]; then agent start-time "$recording" "2026-11-21 22:40:00"; fi
done

if [[ -z $card ]]; then
    say "A card with an ECG is imported (a made one)"
    mkdir "$work/card"
    "$bin/ess-sim" card "$work/card"
    source_card=$work/card
else
    say "The card $card is imported"
    source_card=$card
fi
agent import "$source_card" || [[ $? == 3 ]]
# A real file may name somebody who isn't the fictional patient: the agent then waits for a person's decision.
# Here, that person is this script.
agent recordings --json | json '"\n".join(r["id"] for r in data if not r.get("visit"))' | while read -r recording; do
    [[ $recording ]] || continue
    echo "The identity in $recording isn't this patient's; the demo decides that it belongs here, and that is recorded:"
    agent attribute "$recording" "$visit" --why "demonstration"
done
agent visit close
agent recordings
agent status

say "The network returns: the server comes up, everything goes by itself"
start_server
agent sync --wait --timeout 180

say "What the server received"
status=0
agent recordings --json > "$work/recordings.json"
python3 Tests/Scripts/receipts.py "$work/recordings.json" "$work/server/recordings" || status=$?

if [[ $once ]]; then exit $status; fi
say "The agent and the server go on; Ctrl-C ends them"
echo "Try:  .build/debug/ess-agent status --config $config"
wait "$daemon"
