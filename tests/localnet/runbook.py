"""Pages for operators, run as they stand: every block of docs/runbooks/NAME.md that says so, in turn, in bash.

``dta start`` stays in the foreground, as a service manager wants it; here it is put into the background.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dta.localnet.network import Network
from tests.support.command_blocks import blocks

PAGES = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
_PRELUDE = f"""set -euo pipefail
dta() {{
  if [ "$1" = start ]; then
    mkdir -p "$DTA_HOME/logs"
    setsid {sys.executable} -m dta start >>"$DTA_HOME/logs/node.log" 2>&1 </dev/null & disown
  else
    {sys.executable} -m dta "$@"
  fi
}}
"""


class Runbook:
    """One page. ``variables``: what the page tells its reader to set."""

    def __init__(self, net: Network, name: str, **variables: str) -> None:
        self.left = blocks_of(PAGES / f"{name}.md")
        assert self.left, f"there is nothing to run in {name}.md"
        self._environment = {**net.environment(), **variables}

    def run(self, blocks: int = 1) -> str:
        """The next so many blocks; what they printed. They must succeed."""
        said = ""
        for _ in range(blocks):
            block = self.left.pop(0)
            done = subprocess.run(
                ["bash", "-c", _PRELUDE + block], env=self._environment, capture_output=True, text=True, timeout=300,
                check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{block}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
            said += done.stdout + done.stderr
        return said


def blocks_of(page: Path) -> list[str]:
    """The page's blocks that a test runs, from its top (tests/support/command_blocks.py)."""
    return [one.text for one in blocks(page.read_text()) if one.runner]
