"""The localnet's tests run side by side, and beside what a developer has up: each has ports of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from dta.localnet.development import DEFAULT_PORT
from dta.localnet.network import DEFAULT_PORT_BASE

ROOT = Path(__file__).resolve().parents[2]
NETWORK_PORTS = 100
"""From its first port on, more than any network of the tests has."""
LOWEST, FIRST_EPHEMERAL = 26_000, 32_768


def ports_in(source: str) -> Iterator[int]:
    """What a module writes down that is a port of ours: as a number, or as the text of one."""
    for node in ast.walk(ast.parse(source)):
        value = node.value if isinstance(node, ast.Constant) else None
        number = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value
        if isinstance(number, int) and LOWEST <= number < FIRST_EPHEMERAL:
            yield number


def in_common(sources: dict[str, str]) -> list[tuple[int, str, str]]:
    """Pairs of modules whose networks would want the same ports, and the first of these."""
    taken = {port: ports_in(source) for port, source in sources.items()}
    of = sorted((port, name) for name, ports in taken.items() for port in set(ports))
    return [
        (port, name, other)
        for (earlier, other), (port, name) in pairwise(of)
        if port - earlier < NETWORK_PORTS and name != other
    ]


def test_no_two_modules_of_the_localnet_want_the_same_ports_nor_those_of_what_a_developer_has_up() -> None:
    sources = {path.name: path.read_text() for path in sorted((ROOT / "tests/localnet").glob("*.py"))}
    sources |= {"dta dev up": str(DEFAULT_PORT), "scripts/localnet.sh up": str(DEFAULT_PORT_BASE)}
    assert in_common(sources) == []


def test_a_port_that_two_want_is_seen() -> None:
    sources = {"a.py": "PORT = 28_000", "b.py": 'int(os.environ.get("PORT", "28000"))', "c.py": "x = 28_100; y = 5"}
    assert in_common(sources) == [(28_000, "b.py", "a.py")]
    assert in_common({**sources, "d.py": "PORT = 28_199"}) == [(28_000, "b.py", "a.py"), (28_199, "d.py", "c.py")]
