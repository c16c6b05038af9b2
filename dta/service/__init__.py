"""``dta serve``: a person's own agent, which applications reach by REST (docs/spec/rest.md).

Nothing here decides anything: it asks :mod:`dta.client`, as the command line does.
"""
