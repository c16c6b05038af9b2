"""Founding a consortium, in steps that need no machine which all founders trust (docs/spec/genesis.md)."""
