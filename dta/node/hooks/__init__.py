"""Post-commit hooks: what this fiduciary owes the ledger, worked out from state and answered by transactions."""
