#!/usr/bin/env bash
# Random kills and halts on a localnet while orders flow, for as long as one likes; then a verdict with figures.
#
#   scripts/chaos.sh [--rounds N] [--seed S] [--validators N] [--hsm softhsm|software] [--keep]
#
# The exit code is 0 only where nothing was lost, doubled or left undone and all nodes came to one app hash.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/bootstrap.sh
. scripts/lib/bootstrap.sh

ensure_venv
ensure_cometbft "$DTA_ROOT/tools"
case " $* " in *" --hsm software "*) DTA_SOFTHSM_MODULE= ;; *) ensure_softhsm ;; esac
export DTA_COMETBFT="${DTA_COMETBFT:-}" DTA_SOFTHSM_MODULE="${DTA_SOFTHSM_MODULE:-}"
exec "$DTA_PYTHON" -m dta.localnet.chaos "$@"
