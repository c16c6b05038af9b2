"""The command line, ``dta``: a command group is one file here and one line in ``main.py``."""
