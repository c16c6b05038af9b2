#!/usr/bin/env bash
# Builds the documentation site into build/site, or where it is told to; refuses a link or a page that is not there.
#
#   scripts/site.sh [DIRECTORY]
#
# To look at it: open index.html in a browser (its search wants a server: python -m http.server -d build/site).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/bootstrap.sh
. scripts/lib/bootstrap.sh

ensure_venv
exec "$DTA_PYTHON" -m mkdocs build --strict --site-dir "${1:-build/site}"
