"""The command line, ``dta``: ``commands.py`` lists what there is, and the modules beside it do it."""
