#!/usr/bin/env bash
# Writes what says again what the code declares: the parts of docs on state, codes, events, messages, settings, commands and
# the SDK, the pictures of docs/concepts, and the description of the agent's API (docs/spec/openapi.json; --breaking where
# it takes something back). With --check: fails when one says something else (tests/unit/test_pages.py asks the same).
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" -m tests.support.pages "$@"
