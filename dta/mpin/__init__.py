"""M-Pin: the protocol's client and server, the authentication server, and what a person keeps (docs/spec/mfa.md)."""
