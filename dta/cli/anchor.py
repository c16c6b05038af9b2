"""The trust anchor as two people compare it: the genesis id, and the validators by name, identity and address."""

from __future__ import annotations

import typer

from dta.base.errors import DtaError
from dta.base.home import read_file
from dta.cli.session import Session, session_of
from dta.client.genesis import genesis_file
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.ledger import fiduciaries
from dta.light.people import People, line
from dta.light.trust import TrustFile
from dta.light.types import Validator


def anchor(genesis: GenesisFile) -> tuple[dict[str, object], list[str]]:
    """What is compared, as JSON and as lines. It is the same in every home of the ledger, however old."""
    validators = [Validator(founder.validator_key, founder.power) for founder in genesis.state.fiduciaries]
    rows = genesis.people().rows(validators)
    data: dict[str, object] = {"chain_id": genesis.genesis.chain_id, "gid": genesis.gid.hex(), "validators": rows}
    lines = [f"chain id    {genesis.genesis.chain_id}", f"genesis id  {genesis.gid.hex()}"]
    return data, [*lines, *(f"validator   {line(row)}" for row in rows)]


def show(context: typer.Context) -> None:
    """Show the trust anchor of this home: genesis id and validators, for two people to compare.

    Then how far trust has moved on from there, and whose the validators of that header are.
    """
    session = session_of(context)
    genesis = genesis_file.read(read_file(session.home.genesis_file, "the genesis"))
    trust = session.trust()
    data, lines = anchor(genesis)
    if not trust.header_hash:
        session.show({**data, "trusted": None}, [*lines, "trusted     genesis: nothing was verified from it yet"])
        return
    rows = _people(session, genesis, trust).rows(trust.validators.validators)
    trusted = {"height": trust.height, "header_hash": trust.header_hash.hex(), "validators": rows}
    lines += [f"trusted     height {trust.height}, header {trust.header_hash.hex()}"]
    session.show({**data, "trusted": trusted}, [*lines, *(f"vouching    {line(row)}" for row in rows)])


def _people(session: Session, genesis: GenesisFile, trust: TrustFile) -> People:
    """Whose the trusted header's keys are: of one that came after genesis, the ledger knows by proof."""
    known = genesis.people()
    later = [one for one in trust.validators.validators if one.address not in known.owners]
    if not later:
        return known
    try:
        with session.ledger() as ledger, session.working("reading"):
            return known | fiduciaries.people(ledger, later)
    except DtaError as error:
        session.talk(f"warning: whose the keys are that came after genesis is not known: {error.message}")
        return known
