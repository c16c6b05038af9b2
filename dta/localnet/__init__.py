"""A consortium on one machine: what ``scripts/localnet.sh`` runs, and what the tests on real processes start."""
