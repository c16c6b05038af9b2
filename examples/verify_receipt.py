"""What does a receipt prove? The receipt and the ledger's genesis file are all that is looked at."""

import sys
from pathlib import Path

import dta

try:
    receipt = dta.verify_receipt(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes())
    print(f"it holds: {receipt.kind} of {receipt.chain_id}, at height {receipt.height}", *receipt.warnings, sep="\n")
except dta.ReceiptRefused as refused:
    sys.exit(f"it does not hold: {refused}")
