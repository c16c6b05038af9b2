"""Content-addressed blocks: the store, the fiduciary's gateway, and fetching from peers (docs/spec/blocks.md)."""
