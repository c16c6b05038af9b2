"""Governance: what the fiduciaries decide by vote (docs/spec/governance.md)."""
