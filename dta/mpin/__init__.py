"""The M-Pin protocol, both sides, without any I/O (docs/spec/mfa.md): suites, PINs, tokens, agreement, refusals."""
