.DEFAULT_GOAL := help
.PHONY: help setup run test test-long bench

help:
	@echo "make run    start the service with a simulated Telegram; needs nothing configured"
	@echo "make test   check formatting, lints and dependencies, and run all tests"
	@echo "make test-long  run the tests that take longer: the service killed ten times with a thousand messages on their way; a soak of 30 minutes"
	@echo "make bench  measure a release build; with BASELINE=<folder>, the stack in that folder too, in turn"
	@echo "make setup  install what the two need, which they also do by themselves"

setup:
	@scripts/setup.sh

run:
	@scripts/run.sh

test:
	@scripts/test.sh

test-long:
	@scripts/setup.sh
	@cargo test --locked -p service --test process killed -- --nocapture
	@scripts/bench.sh soak --minutes 30

bench:
	@scripts/bench.sh
