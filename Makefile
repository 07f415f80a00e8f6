.DEFAULT_GOAL := help
.PHONY: help setup run test bench

help:
	@echo "make run    start the service with a simulated Telegram; needs nothing configured"
	@echo "make test   check formatting, lints and dependencies, and run all tests"
	@echo "make bench  measure a release build; with BASELINE=<folder>, the stack in that folder too, in turn"
	@echo "make setup  install what the two need, which they also do by themselves"

setup:
	@scripts/setup.sh

run:
	@scripts/run.sh

test:
	@scripts/test.sh

bench:
	@scripts/bench.sh
