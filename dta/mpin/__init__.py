"""The M-Pin protocol, both sides (docs/spec/mfa.md): suites, PINs, tokens, agreement, refusals.

There is no I/O here but that of ``python -m dta.mpin.vectors``, which reads the file that it is given.
"""
