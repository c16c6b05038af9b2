"""Signing orders: who has to agree, and the signature (docs/spec/authority.md)."""
