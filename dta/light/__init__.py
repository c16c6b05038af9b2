"""Light verification of CometBFT: headers, commits, validator sets, inclusion (docs/spec/light-client.md)."""
