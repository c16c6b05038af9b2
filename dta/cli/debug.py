"""``dta debug``: look into the state, on the ledger or in the stores of stopped nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dta.base.errors import EXIT_NOT_VERIFIED, UsageError
from dta.cli.session import session_of
from dta.client.ledger.reads import unverified_get
from dta.node import state_diff


def diff_state(
    context: typer.Context,
    home_a: Annotated[Path, typer.Argument(metavar="HOME_A", help="A stopped node's home.")],
    home_b: Annotated[Path, typer.Argument(metavar="HOME_B", help="Another's.")],
    height: Annotated[int | None, typer.Option(min=1, help="Which height (the lower of their last ones).")] = None,
) -> None:
    """The first key at which two nodes' states differ. Exit code 5 when they do."""
    session = session_of(context)
    with session.working("comparing"):
        found = state_diff.first_state_difference(home_a, home_b, height)
    if found is None:
        session.show({"same": True}, ["the states are the same"])
        return
    data = {
        "same": False,
        "height": found.height,
        "key": key_text(found.key),
        "value_a": found.value_a.hex() if found.value_a is not None else None,
        "value_b": found.value_b.hex() if found.value_b is not None else None,
        "differing_keys": found.count,
    }
    lines = [f"{found.count} keys differ at height {found.height}; the first is {data['key']}"]
    lines += [f"{name}  {data[value] or 'no such leaf'}" for name, value in (("A", "value_a"), ("B", "value_b"))]
    session.show(data, lines)
    raise typer.Exit(EXIT_NOT_VERIFIED)


def prefix_hashes(
    context: typer.Context,
    home: Annotated[Path | None, typer.Argument(help="A stopped node's home (this one).")] = None,
) -> None:
    """A hash over the leaves of each prefix: what two operators read to each other to find where they differ."""
    session = session_of(context)
    with session.working("scanning"):
        height, hashes = state_diff.state_prefix_hashes(home or session.home.path)
    lines = [f"height  {height}", *(f"{digest}  {prefix}" for prefix, digest in hashes.items())]
    session.show({"height": height, "prefixes": hashes}, lines)


def state(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="A prefix and hex, such as id/<64 hex digits>, or params/")],
    height: Annotated[int | None, typer.Option(min=1, help="Which height (the newest that can be proved).")] = None,
    unverified: Annotated[bool, typer.Option("--unverified", help="What the node says, without a proof.")] = False,
) -> None:
    """One leaf of the state, proved: its value in hex, or that there is none."""
    session = session_of(context)
    raw = parse_key(key)
    with session.ledger() as ledger, session.working("reading"):
        if unverified:
            value, proved_at = ledger.rpc.run(unverified_get(raw, height or 0)), None
        else:
            found = ledger.prove(raw, height)
            value, proved_at = found.value, found.height
    said = value.hex() if value is not None else "no such leaf"
    proof = f"proved at height {proved_at}" if proved_at is not None else "not verified"
    session.show(
        {"key": key, "value": value.hex() if value is not None else None, "height": proved_at,
         "verified": proved_at is not None},
        [said, proof],
    )  # fmt: skip


def parse_key(text: str) -> bytes:
    """A state key: its prefix in ASCII, then the rest in hex. Raises UsageError."""
    prefix = text.partition("/")[0].encode("ascii", "replace") + b"/"
    from abci_app.messages.registry import LEAVES  # all rules with it: slow to import, and few commands need it

    prefixes = [leaves.prefix for leaves in LEAVES]
    if prefix not in prefixes:
        known = ", ".join(name.decode("ascii") for name in prefixes)
        raise UsageError(f"a key starts with a prefix: {known}")
    try:
        return prefix + bytes.fromhex(text.partition("/")[2])
    except ValueError:
        raise UsageError(f"after its prefix a key is in hex: {text!r}") from None


def key_text(key: bytes) -> str:
    """A state key as :func:`parse_key` reads it."""
    prefix, _, rest = key.partition(b"/")
    return f"{prefix.decode('ascii', 'replace')}/{rest.hex()}"
