"""Content-addressed blocks: the stores, and fetching from peers (docs/spec/blocks.md)."""
