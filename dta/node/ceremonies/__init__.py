"""The provers' side of the authority: ceremonies, extraction, signing (docs/spec/authority.md)."""
