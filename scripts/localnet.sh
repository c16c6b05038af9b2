#!/usr/bin/env bash
# A consortium on this machine. Builds or finds what is missing, then:
#
#   scripts/localnet.sh demo [OPTIONS]         the main job, visibly; cleans up after itself
#   scripts/localnet.sh up [OPTIONS]           start a network and leave it running
#   scripts/localnet.sh status | logs | down   look at it, stop it
#   scripts/localnet.sh clean                  stop it and forget everything
#
# OPTIONS: --validators N; --hsm softhsm|software; --ipfs embedded|kubo|mixed (mixed: every second node has a Kubo)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/bootstrap.sh
. scripts/lib/bootstrap.sh

[ $# -gt 0 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }

ensure_venv
case "$1" in
  up | demo)
    ensure_cometbft "$DTA_ROOT/tools"
    case " $* " in *" --ipfs kubo "* | *" --ipfs mixed "*) ensure_kubo ;; esac
    [ "$1" = up ] || { ensure_receipt_verifier; ensure_authority_verifier; }
    case " $* " in *" --hsm software "*) DTA_SOFTHSM_MODULE= ;; *) ensure_softhsm ;; esac
    ;;
esac
export DTA_COMETBFT="${DTA_COMETBFT:-}" DTA_KUBO="${DTA_KUBO:-}" DTA_SOFTHSM_MODULE="${DTA_SOFTHSM_MODULE:-}"
export DTA_RECEIPT_VERIFIER="${DTA_RECEIPT_VERIFIER:-}" DTA_AUTHORITY_VERIFIER="${DTA_AUTHORITY_VERIFIER:-}"
exec "$DTA_PYTHON" -m dta.localnet "$@"
