"""The rules of vaults, orders and requests that several messages share (docs/spec/custody.md)."""
