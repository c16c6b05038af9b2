#!/usr/bin/env bash
# What a shell needs to have `dta`, `python` with dta in it and a CometBFT: prints it, for the shell to read.
#
#   eval "$(scripts/env.sh)"
#
# Makes .venv and builds CometBFT where they are not there yet, once (about three minutes); says so on stderr.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/bootstrap.sh
. scripts/lib/bootstrap.sh

ensure_venv
ensure_cometbft
printf 'export PATH=%q:"$PATH"\nexport DTA_COMETBFT=%q\n' "$DTA_ROOT/.venv/bin" "$DTA_COMETBFT"
