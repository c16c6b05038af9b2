"""What the ledger knows of M-Pin: the points it computes and the rules of realms (docs/spec/mfa.md)."""
