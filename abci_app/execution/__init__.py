"""What the rules of a message or a proposal are written in: the context of a block, what a message declares."""
