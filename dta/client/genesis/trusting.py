"""A home that trusts a genesis: what principals and beneficiaries start with, and fiduciaries too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dta.base.errors import UsageError
from dta.base.home import ClientConfig, Home, make_directory, read_file, write_file
from dta.client.genesis import genesis_file
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.ledger.rpc import door_rpc
from dta.http.tls import vouched_by
from dta.light.trust import TrustFile


def is_genesis(content: bytes) -> bool:
    """Whether a file that is trusted is a genesis file, and no trust file."""
    return b'"app_state"' in content


def trust_of(content: bytes) -> TrustFile:
    """A trust file, or the one that stands on a genesis file: dated by genesis. Raises UsageError."""
    if not is_genesis(content):
        return TrustFile.from_json(content)
    genesis = genesis_file.read(content)
    return TrustFile.from_genesis(content, genesis.gid, genesis.genesis.time.seconds)


def trust_genesis(home: Home, genesis: GenesisFile, now_s: int) -> TrustFile:
    """Writes ``genesis.json`` and, unless there is one of this ledger, ``trust.json``. ``now_s``: Unix seconds.

    Raises UsageError when the home is on another ledger.
    """
    if home.genesis_file.exists() and read_file(home.genesis_file, "the genesis") != genesis.content:
        raise UsageError(f"{home.path} is on another ledger already", hint="choose another --home")
    write_file(home.genesis_file, genesis.content)
    if home.trust_file.exists():
        trust = TrustFile.load(home.trust_file)
        if trust.gid == genesis.gid:
            return trust  # it may have moved on from genesis since
    trust = TrustFile.from_genesis(genesis.content, genesis.gid, now_s)
    trust.save(home.trust_file)
    return trust


def init_client(
    home: Home, genesis: GenesisFile, nodes: Sequence[str], now_s: int, ca: bytes | None = None
) -> TrustFile:
    """Makes (or points elsewhere) a client's home. ``nodes``: fiduciaries' doors, base URLs, in order.

    ``ca``: PEM, who vouches for their certificates in place of the system; kept in the home. Raises UsageError for a
    URL that is none, another ledger's home, a file without certificates.
    """
    if not nodes:
        raise UsageError("which node should be asked?", hint="give --node, such as https://alpha.example:8443")
    for url in nodes:
        door_rpc(url)  # refuses what is no URL
    make_directory(home.path)
    trust = trust_genesis(home, genesis, now_s)
    config = ClientConfig(genesis.genesis.chain_id, genesis.gid, nodes=tuple(nodes))
    if ca is not None:
        write_file(home.ca_file, ca)
        vouched_by(home.ca_file)
        config = replace(config, ca_file=home.ca_file)
    if home.client_file.exists():
        config = replace(config, default_identity=home.load_client().default_identity)
    home.save_client(config)
    return trust
