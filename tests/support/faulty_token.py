"""A PKCS#11 module with faults that a test switches on and off (tests/support/faulty_pkcs11.c)."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SOURCE = Path(__file__).with_name("faulty_pkcs11.c")


@dataclass(frozen=True)
class FaultyModule:
    """``path``: the module, to be named in a configuration. Its faults hold for every process that has loaded it."""

    path: Path

    def fail(self, *faults: str) -> None:
        """These faults, one line each, from the next call on, in place of those before."""
        fresh = self.path.with_name("faults.new")
        fresh.write_text("".join(f"{fault}\n" for fault in faults))
        fresh.replace(self.path.with_name("faults"))

    def seen(self, what: Literal["signing at once", "changes beside a use", "open sessions"]) -> int:
        """What the module counted in this process, since :meth:`forget`."""
        places = ("signing at once", "changes beside a use", "open sessions")
        return int(ctypes.CDLL(str(self.path)).faulty_seen(places.index(what)))

    def forget(self) -> None:
        """Counts anew."""
        ctypes.CDLL(str(self.path)).faulty_seen(-1)

    def heal(self) -> None:
        """No faults any more."""
        self.fail()


def compiler() -> str | None:
    """The system's C compiler, or None."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


def build(directory: Path, real: Path) -> FaultyModule:
    """Builds the module in ``directory``, around the one at ``real``. There must be a :func:`compiler`."""
    directory.mkdir(parents=True, exist_ok=True)
    found = compiler()
    assert found is not None
    # pytest's own temporary paths may be long; dlopen takes any.
    module = directory / "faulty.so"
    command = [found, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(module), str(SOURCE), "-ldl"]
    subprocess.run([*command, "-lpthread"], check=True)
    os.symlink(real.resolve(), directory / "real")
    made = FaultyModule(module)
    made.heal()
    return made
