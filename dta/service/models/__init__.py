"""What goes over HTTP, both ways, one module for each group of paths; ``base`` has what all are made of."""
