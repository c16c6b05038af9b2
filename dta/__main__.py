"""The entry point of ``dta``, and ``python -m dta``. Nothing of ours is imported before Ctrl-C is caught."""

import os
import signal
import sys


def main() -> None:
    """Runs the command line. Its memory holds keys, PINs and secrets; so does that of a node it starts."""
    try:
        _open_what_is_closed()
        from dta.base.hardening import harden

        harden()
        from dta.cli.main import run

        code = run(sys.argv[1:])
        # What is left is to end: an interrupt now would only be a traceback of the interpreter's own.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        code = 130  # EXIT_INTERRUPTED, whose module may not be there yet
    sys.exit(code)


def _open_what_is_closed() -> None:
    """A closed standard stream would be None to Python, and its number the next file's that is opened: a secret's, say.

    Standard output is put there so that writing to it fails and is said to have failed.
    """
    for number, mode, name in ((0, "r", "stdin"), (1, "w", "stdout"), (2, "w", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, and those below are open by now.
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


if __name__ == "__main__":
    main()
