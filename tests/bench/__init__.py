"""Benchmarks (docs/bench.md): ``scripts/bench.sh`` runs them, no test asserts a time."""
