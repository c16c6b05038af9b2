#!/usr/bin/env bash
# Regenerates from proto/: abci_app/pb, and the declarations that the second verifier of receipts reads records by.
# With --check: fails when what is committed differs.
set -euo pipefail
cd "$(dirname "$0")/.."
out=abci_app/pb
records=tools/receipt-verifier/records.binpb
if [ "${1:-}" = "--check" ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
python="${PYTHON:-.venv/bin/python}"
mapfile -t files < <(cd proto && find dta -name '*.proto' | LC_ALL=C sort)
"$python" -m grpc_tools.protoc -I proto --python_out="$out" --pyi_out="$out" "${files[@]}"
# protoc writes absolute imports from its own root: move them under our package.
find "$out" \( -name '*_pb2.py' -o -name '*_pb2.pyi' \) -exec sed -i -E 's/^from dta\./from abci_app.pb.dta./' {} +
find "$out" -mindepth 1 -type d -not -name __pycache__ -exec touch {}/__init__.py \;
[ "$out" = abci_app/pb ] || records=$out/records.binpb
"$python" -m grpc_tools.protoc -I proto --include_imports --descriptor_set_out="$records" \
  proto/dta/v1/tx.proto proto/dta/v1/params.proto
if [ "$out" != abci_app/pb ]; then
  cmp "$records" tools/receipt-verifier/records.binpb && echo "tools/receipt-verifier/records.binpb is, too"
  diff -r -x __pycache__ -x __init__.py "$out/dta" abci_app/pb/dta && echo "abci_app/pb is what proto/ says"
fi
