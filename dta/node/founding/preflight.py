"""``dta doctor`` before there is a ledger: what founding would meet without a word, looked at before anybody waits.

``dta/node/doctor.py`` has the checks that a node needs afterwards too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dta.base import address
from dta.base.config import NODE_FILE, NodeConfig, check_home, load_node_config, read_toml
from dta.base.errors import DtaError
from dta.base.home import Home
from dta.base.keystore_config import KeystoreConfig
from dta.base.settings import CometFile, checked
from dta.hsm.doctor import diagnose
from dta.hsm.keystore import CheckStep
from dta.hsm.pin import Prompt
from dta.node import doctor
from dta.node.founding.draft import Draft
from dta.node.founding.fiduciary import COMET_FILE, own_card
from dta.node.validator_key import KeyFiles, public_key


def examine(
    home: Home, draft: Draft | None = None, prompt_for: Callable[[KeystoreConfig], Prompt | None] = lambda _: None
) -> Iterator[CheckStep]:
    """Every check of a home that is on no ledger, in order. ``draft``: where the other founders are.

    Nothing is raised: what can't be looked at is a failure that says so.
    """
    yield _home(home)
    yield doctor.disk(home.path)
    if not (home.path / NODE_FILE).exists():
        yield from doctor.comet_version("cometbft")
        advice = "make one: `dta init fiduciary`; of a ledger that exists already, `dta init join`"
        yield CheckStep("node", "warning", f"there is no node in {home.path} yet", advice)
        return
    try:
        config = load_node_config(home.path)
        comet = checked(CometFile, read_toml(home.path / COMET_FILE), home.path / COMET_FILE)
    except DtaError as error:
        yield CheckStep("configuration", "failure", error.message, error.hint or "`dta config check` says all")
        return
    yield CheckStep("configuration", "ok", f"{NODE_FILE} and {COMET_FILE} are as declared")
    yield from doctor.comet_version(config.comet_binary)
    yield from _ports(config, comet)
    yield from diagnose(config.keystore, prompt=prompt_for(config.keystore))
    yield doctor.block_store(config)
    yield from _founders(home, config, comet, draft)
    yield CheckStep("ledger", "warning", "this node is on no ledger yet", "found one: `dta genesis --help`")


def _home(home: Home) -> CheckStep:
    try:
        check_home(home.path)
    except DtaError as error:
        return CheckStep("home", "failure", error.message, error.hint)
    return CheckStep("home", "ok", str(home.path))


def _ports(config: NodeConfig, comet: CometFile) -> Iterator[CheckStep]:
    for name, listen in (("p2p", comet.p2p_laddr), ("rpc", comet.rpc_laddr)):
        if listen.startswith("tcp://"):
            yield doctor.port(f"{name} port", address.split(listen.removeprefix("tcp://")), running=False)
    yield doctor.port("gateway port", config.gateway_bind, running=False)


def _founders(home: Home, config: NodeConfig, comet: CometFile, draft: Draft | None) -> Iterator[CheckStep]:
    try:
        card = own_card(home)
        own_key = KeyFiles(config.comet_home).key
        if not comet.priv_validator_laddr and card.validator_key != public_key(own_key):
            yield CheckStep("card", "failure", "it names another consensus key", "was cometbft/config exchanged?")
            return
        if draft is not None and draft.founder(card.identity) != card:
            yield CheckStep("card", "failure", "the draft has another card of this founder", "hand over founder.json")
            return
    except (DtaError, OSError, ValueError) as error:
        said, hint = (error.message, error.hint) if isinstance(error, DtaError) else (str(error), "")
        yield CheckStep("card", "failure", said, hint or "the consensus key is in cometbft/config")
        return
    yield CheckStep("card", "ok", f"{home.founder_file} is this node's")
    if draft is None:
        advice = "give the draft, which says it: --peers draft.json"
        yield CheckStep("addresses", "warning", "where the other founders are is not known", advice)
        return
    places = {founder.document.name: founder.p2p for founder in draft.founders}
    yield doctor.places(places, may_share=comet.private_network)
