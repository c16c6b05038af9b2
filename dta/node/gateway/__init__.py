"""What a node serves to everybody over HTTP (docs/spec/blocks.md)."""
