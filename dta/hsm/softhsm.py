"""What is particular to SoftHSM2, the token of the tests and the demo: where it is, its configuration, its files.

SoftHSM2 keeps each object in a file and does not flush it. :class:`TokenFiles` does, so that "made" and "destroyed"
survive a power cut there too; a hardware token sees to that itself.
"""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_VARIABLE = "SOFTHSM2_CONF"
MANUFACTURER = "SoftHSM"

_DEFAULT_CONFIG = Path("/etc/softhsm2.conf")
_DEBIAN_CONFIG = Path("/etc/softhsm/softhsm2.conf")
_WELL_KNOWN_MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/usr/lib64/softhsm/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
)


def find_module() -> Path | None:
    """SoftHSM2's module where distributions install it, or None."""
    return next((path for path in _WELL_KNOWN_MODULES if path.is_file()), None)


def make_home(directory: Path) -> Path:
    """Makes ``directory`` (mode 0700) a home for tokens; returns the configuration that SOFTHSM2_CONF must name.

    A home that is there already is left as it is.
    """
    tokens = directory / "tokens"
    tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = directory / "softhsm2.conf"
    if not config.exists():
        lines = (f"directories.tokendir = {tokens.absolute()}", "objectstore.backend = file", "log.level = ERROR")
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return config


def token_directory() -> Path | None:
    """Where the SoftHSM2 of this process keeps its tokens, or None when its configuration does not say."""
    named = os.environ.get(CONFIG_VARIABLE)
    for config in (Path(named),) if named else (_DEFAULT_CONFIG, _DEBIAN_CONFIG):
        try:
            lines = config.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key.strip() == "directories.tokendir":
                return Path(value.strip())
    return None


class TokenFiles:
    """SoftHSM2's files under a directory (None: no SoftHSM2), and which of their versions are known to be durable."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._flushed: dict[str, int] = {}

    def flush(self) -> None:
        """Makes what SoftHSM2 wrote and removed since the last call durable."""
        if self._directory is None:
            return
        seen: dict[str, int] = {}
        for folder, _, names in os.walk(self._directory):
            for path in (*(os.path.join(folder, name) for name in names if name.endswith(".object")), folder):
                try:
                    seen[path] = self._flush_one(path)
                except FileNotFoundError:  # another process removed it meanwhile
                    continue
        self._flushed = seen

    def _flush_one(self, path: str) -> int:
        changed_ns = os.stat(path).st_mtime_ns
        if self._flushed.get(path) != changed_ns:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return changed_ns
