"""The localnet's tests in three processes side by side: ``python -m tests.localnet.lanes``.

Two have a network each that many modules share, in order: one takes ``test_faults_*``, the other the rest. The third
has the modules with networks of their own, whose ports differ. All mostly wait for blocks. Each lane's output is shown
when it has ended; the last line counts all, as pytest does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from xml.etree import ElementTree

LANES = {"faults": "shared_network and faults", "shared": "shared_network and not faults", "own": "not shared_network"}
PORTS = {"faults": 29_400}  # of the shared network; otherwise those of conftest.py
POLL_S = 1.0
COUNTED = ("failures", "errors", "skipped")


class Lane:
    """One pytest process, its output in a file."""

    def __init__(self, name: str, marker: str, directory: Path) -> None:
        self.name = name
        self.output = directory / f"{name}.log"
        self.report = directory / f"{name}.xml"
        self.started = time.monotonic()
        command = [
            sys.executable, "-m", "pytest", "-rfEs", "-m", marker, "--durations", "15", f"--junitxml={self.report}",
            "tests/localnet",
        ]  # fmt: skip
        environment = {**os.environ, "DTA_TEST_PORT_BASE": str(PORTS[name])} if name in PORTS else None
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)

    def counts(self) -> dict[str, int]:
        """``tests`` and each of COUNTED; one error where pytest never came to count."""
        try:
            suite = ElementTree.parse(self.report).getroot().find("testsuite")
        except (OSError, ElementTree.ParseError):
            suite = None
        found = {name: int(suite.get(name, 0)) if suite is not None else 0 for name in ("tests", *COUNTED)}
        if self.process.returncode and not found["failures"] + found["errors"]:
            found["tests"] += 1
            found["errors"] += 1
        return found


def main() -> int:
    """Run all; 0 where each passed."""
    started = time.monotonic()
    lanes: list[Lane] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        # As by Ctrl-C: pytest takes down its networks. The lanes are waited for in any case.
        for lane in lanes:
            lane.process.send_signal(signal.SIGINT)

    # Before the lanes start: they must not inherit that SIGINT is ignored, as a script's background processes do.
    signal.signal(signal.SIGTERM, interrupt)
    # A terminal sends it to the lanes too.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    with tempfile.TemporaryDirectory(prefix="dta-lanes-") as directory:
        for name, marker in LANES.items():
            lanes.append(Lane(name, marker, Path(directory)))
        running = list(lanes)
        while running:
            time.sleep(POLL_S)
            for lane in [lane for lane in running if lane.process.poll() is not None]:
                running.remove(lane)
                sys.stdout.write(f"-- lane {lane.name}, {time.monotonic() - lane.started:.0f} s\n")
                sys.stdout.write(lane.output.read_text(errors="replace"))
                sys.stdout.flush()
        counts = [lane.counts() for lane in lanes]
    total = {name: sum(one[name] for one in counts) for name in counts[0]}
    passed = total["tests"] - sum(total[name] for name in COUNTED)
    print(
        f"{passed} passed, {total['failures']} failed, {total['skipped']} skipped, {total['errors']} errors "
        f"in {time.monotonic() - started:.0f}s"
    )
    return int(any(lane.process.returncode for lane in lanes))


if __name__ == "__main__":
    sys.exit(main())
