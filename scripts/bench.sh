#!/usr/bin/env bash
# Builds the service for release and measures it. Arguments go to the tool (`scripts/bench.sh --help` lists them).
# BASELINE=<folder> also drives the stack in that folder, in turn with ours, and prints the ratios.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
echo "Building..."
cargo build --locked --quiet --release -p service -p bench
bin=${CARGO_TARGET_DIR:-target}/release
exec "$bin/bench" --integrations "$bin/integrations" "$@"
