"""What every HTTP server of ours has in front of it: bounds on requests, and rates for each address."""
