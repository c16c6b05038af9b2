"""Rules of identity documents, used wherever somebody is named (docs/spec/identities.md)."""
