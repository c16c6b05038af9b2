"""What a fiduciary runs: supervisor, agent, hooks, ceremonies, gateway; and how a node is founded."""
