"""Secrets and provers, on top of the public operations in ``abci_app/crypto``."""
