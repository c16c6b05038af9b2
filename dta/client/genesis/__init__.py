"""The genesis: the file, CometBFT's side of it, and how a home comes to trust one (docs/spec/genesis.md)."""
