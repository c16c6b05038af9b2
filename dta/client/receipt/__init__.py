"""Receipts: proof to a stranger, offline, that something happened on the ledger (docs/spec/receipt.md).

:mod:`format` is the file, :mod:`verify` believes it or not, :mod:`collect` makes one from what a node serves.
"""
