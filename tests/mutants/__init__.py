"""Mutants: small changes of meaning in the code, none of which its tests may miss (`python -m tests.mutants`).

A row of the tables here (`*.toml`, one for each area) is a file, a text that stands in it once, the text to put in its
place, and the tests that must fail then. So a rule that is only written down, or that a neighbour's check answers for,
does not pass for a rule that is tested (docs/howto/development.md, Mutants).
"""
