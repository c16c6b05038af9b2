"""The trust anchor as two people compare it: the genesis id, and validators by name, identity and address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import typer

from abci_app.crypto import statements
from dta.base.errors import JsonValue
from dta.base.home import read_file
from dta.cli.session import session_of
from dta.client.genesis import genesis_file
from dta.client.genesis.cometbft import address
from dta.client.genesis.genesis_file import GenesisFile
from dta.light.trust import TrustFile

People = Mapping[bytes, tuple[str, bytes]]
"""Consensus key -> (name, identity): whose it was at genesis."""


def people(genesis: GenesisFile) -> People:
    """The founders by their consensus keys."""
    return {
        founder.validator_key: (read.document.name, statements.identity_id(read.document))
        for read, founder in zip(genesis.documents(), genesis.state.fiduciaries, strict=True)
    }


def rows(validators: Iterable[tuple[bytes, int]], known: People) -> list[dict[str, JsonValue]]:
    """``validators``: (key, power) each. Of a key that came after genesis only the ledger knows whose it is."""
    found: list[dict[str, JsonValue]] = []
    for key, power in validators:
        name, identity = known.get(key, ("", b""))
        found.append({
            "name": name, "identity": identity.hex(), "address": address(key).hex(), "public_key": key.hex(),
            "power": power,
        })  # fmt: skip
    return found


def line(row: Mapping[str, JsonValue]) -> str:
    """A validator for a person: name, identity, address, power."""
    return f"validator   {row['name'] or '-'}  {row['identity'] or '-'}  {row['address']}  power {row['power']}"


def anchor(trust: TrustFile, genesis: GenesisFile) -> tuple[dict[str, object], list[str]]:
    """What is compared, as JSON and as lines."""
    found = rows(((one.public_key, one.power) for one in trust.validators.validators), people(genesis))
    data: dict[str, object] = {
        "chain_id": trust.chain_id, "gid": trust.gid.hex(), "height": trust.height, "validators": found
    }
    return data, [f"chain id    {trust.chain_id}", f"genesis id  {trust.gid.hex()}", *map(line, found)]


def show(context: typer.Context) -> None:
    """Show the trust anchor of this home: genesis id and validators, for two people to compare."""
    session = session_of(context)
    genesis = genesis_file.read(read_file(session.home.genesis_file, "the genesis"))
    trust = session.trust()
    data, lines = anchor(trust, genesis)
    session.show(data, [*lines, f"as of       height {trust.height}"])
