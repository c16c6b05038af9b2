#!/usr/bin/env bash
# What it does in a second, and what that costs (docs/bench.md). `scripts/bench.sh --help` lists the parts.
#
#   scripts/bench.sh [PART...] [--json] [--out FILE] [--rounds N] [--quick]
#   scripts/bench.sh table FILE...      rewrite the tables of docs/bench.md from what --out wrote
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/bootstrap.sh
. scripts/lib/bootstrap.sh

ensure_venv
case " $* " in
  *" table "* | *" --help "* | *" -h "*) ;;
  *)
    ensure_cometbft "$DTA_ROOT/tools"
    ensure_softhsm
    ;;
esac
export DTA_COMETBFT="${DTA_COMETBFT:-cometbft}" DTA_SOFTHSM_MODULE="${DTA_SOFTHSM_MODULE:-}"
exec "$DTA_PYTHON" -m tests.bench "$@"
