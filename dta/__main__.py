"""``python -m dta``: the command line."""

from dta.cli.main import main

main()
