"""The entry point of ``dta``, and ``python -m dta``."""

from __future__ import annotations

import sys

from dta.base.errors import EXIT_INTERRUPTED
from dta.base.hardening import harden


def main() -> None:
    """Runs the command line. Its memory holds keys, PINs and secrets; so does that of a node it starts."""
    try:
        harden()
        from dta.cli.main import run  # here, so that Ctrl-C while it is still loading is no traceback either

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
