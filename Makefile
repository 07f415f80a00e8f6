.DEFAULT_GOAL := help
.PHONY: help setup run test test-long bench

help:
	@echo "make run    start the service with a simulated Telegram; needs nothing configured"
	@echo "make test   check formatting, lints and dependencies, and run all tests"
	@echo "make test-long  run what takes longer: the service killed ten times with a thousand messages on their way, and while it seals 50,000"
	@echo "                bots anew, each fault of a worker five times with two hundred accounts under load, every scenario of"
	@echo "                docs/RELIABILITY.md, a soak of 30 minutes, and the carriers of hints with RabbitMQ 4 (as root)"
	@echo "make bench  measure a release build; with BASELINE=<folder>, the stack in that folder too, in turn"
	@echo "make setup  install what the two need, which they also do by themselves"

setup:
	@scripts/setup.sh test

run:
	@scripts/run.sh

test:
	@scripts/test.sh

test-long:
	@scripts/setup.sh test long
	@cargo test --locked -p service --test process killed -- --nocapture
	@KEYS_ROWS=50000 cargo test --locked -p service --test process a_rotation_goes_on -- --nocapture
	@FAULTS=5 cargo test --locked -p service --test faults -- --nocapture --test-threads 1
	@cargo build --release --locked --quiet -p service
	@INTEGRATIONS_BINARY="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/integrations" RELIABILITY=all \
		cargo test --locked -p service --test reliability -- --nocapture
	@scripts/bench.sh soak --minutes 30
	@root=$$(scripts/rabbitmq4.sh) && RABBITMQ_ROOT=$$root cargo test --locked -p service --test carriers -- --nocapture

bench:
	@scripts/bench.sh
