"""The agent: the one process of a node with the HSM. It runs the hooks, keeps the blocks and serves the gateway."""
