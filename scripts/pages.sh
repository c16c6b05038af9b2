#!/usr/bin/env bash
# Writes the parts of docs/spec that are made of what the code declares: state, codes, events, messages. With --check:
# fails when a page says something else (tests/unit/test_pages.py asks the same).
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" -m tests.support.pages "$@"
