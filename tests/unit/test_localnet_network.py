"""What the scripts and tests on real processes do to them."""

from __future__ import annotations

import signal
import subprocess
import sys

from dta.localnet.network import send_signal


def test_a_process_that_went_by_itself_is_no_error() -> None:
    """The children of a node go with their supervisor, and CometBFT goes with the application, before they are hit."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not send_signal(gone.pid, signal.SIGKILL)
    living = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert send_signal(living.pid, signal.SIGKILL)
    assert living.wait() == -signal.SIGKILL
