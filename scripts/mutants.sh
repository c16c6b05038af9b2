#!/usr/bin/env bash
# Tries whether the tests miss a small change of meaning: applies each mutant of tests/mutants/*.toml to a scratch copy
# and runs the tests that must fail then. Prints each verdict and the figures; fails where one lived, or says nothing
# any more. Takes some minutes. docs/howto/development.md, Mutants.
#
#   scripts/mutants.sh                    all
#   scripts/mutants.sh --only custody     those whose name, area or file has this in it
#   scripts/mutants.sh --sample COMMIT    the few that the default suite runs of a commit
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/bootstrap.sh
. scripts/lib/bootstrap.sh
ensure_venv
exec .venv/bin/python -m tests.mutants --jobs "${DTA_WORKERS:-$(nproc 2>/dev/null || echo 2)}" "$@"
