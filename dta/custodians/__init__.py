"""Custodians: how a fiduciary keeps and releases a share, as plugins (docs/spec/custody.md)."""
