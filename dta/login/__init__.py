"""The authentication server of an M-Pin realm: decisions, what it must not forget, HTTP (docs/spec/mfa.md).

Run by whoever wants to know who logs in; it reads the ledger and writes nothing to it.
"""
