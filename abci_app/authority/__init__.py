"""What several messages do with authorities: keys that no fiduciary holds alone (docs/spec/authority.md)."""
