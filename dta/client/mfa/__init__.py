"""M-Pin realms for their users: enrolling, server secrets, permits, revocation (docs/howto/mfa.md)."""
