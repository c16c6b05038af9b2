"""What a fiduciary runs: the supervisor, the agent with its hooks, ceremonies, the gateway; and how a node is founded."""
