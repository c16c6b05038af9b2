"""``dta identity``: make identities, put them on the ledger, look at them, rotate, suspend and revoke them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from abci_app.cid import cid_of
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.records import IDENTITIES
from dta.base.config import NODE_FILE, load_node_config, write_node_config
from dta.base.errors import DtaError, NotFound, UsageError
from dta.base.home import read_file, write_file
from dta.base.keystore_config import KeystoreConfig
from dta.blocks.auth import PutSigner
from dta.cli import identityview, keystores
from dta.cli.keystores import Choice
from dta.cli.option_groups import with_groups
from dta.cli.session import Session, session_of
from dta.client.genesis import genesis_file
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.identity import lifecycle
from dta.client.identity.create import create_profile, read_request, request_json
from dta.client.identity.document import Description
from dta.client.identity.lifecycle import Outcome, Rotation
from dta.client.identity.profile import ROLES, Profile, load_document_block, load_profile
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger
from dta.client.names import NameBook, check_free
from dta.node.founding import publish

_WAITING = "waiting until the ledger has it"
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def _genesis(session: Session) -> GenesisFile:
    session.client()
    return genesis_file.read(read_file(session.home.genesis_file, "the genesis"))


def _publisher(session: Session, ledger: Ledger, signer: PutSigner | None) -> Callable[[bytes], None]:
    """Puts documents to the fiduciaries' gateways. That some do not take one is said, and stops nothing: the ledger
    carries the document itself, and `dta identity publish` tries again."""

    def put(block: bytes) -> None:
        gateways = publish.gateways_of(publish.fiduciaries(ledger, _genesis(session)))
        for result in publish.upload(block, gateways, ledger.trust.gid, signer, session.http()):
            if not result.ok:
                session.talk(f"warning: {result.gateway} did not take the document: {result.error}")

    return put


def _show_outcome(session: Session, done: str, outcome: Outcome) -> None:
    where = f"at height {outcome.height}" if outcome.height is not None else "already"
    session.show(
        {"identity": outcome.identity.hex(), "action": done, "height": outcome.height},
        [f"{outcome.identity.hex()} is {done} {where}"],
    )


@with_groups
def create(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="What it is called: lower-case letters, digits and -._")],
    role: Annotated[list[str] | None, typer.Option(help="principal, beneficiary (both); repeat it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Another copy of the request for a sponsor.")] = None,
    common: keystores.Common,
    operator: keystores.Operator,
    following: keystores.Next,
    reuse_keys: keystores.ReuseKeys = False,
) -> None:
    """Make an identity: its keys, its document, and the request file with which a fiduciary registers it."""
    session = session_of(context)
    client = session.client()
    roles = tuple(role or ("principal", "beneficiary"))
    if not set(roles) <= set(ROLES) - {"fiduciary"}:
        raise UsageError("the roles are principal and beneficiary", hint="a fiduciary is made by `dta init fiduciary`")
    if name not in session.home.profile_names():  # of one that is there the refusal is another
        check_free(session.home, name)
    plan = keystores.planned(name, session.home.keystores_dir, common, operator, following)
    with session.keyring() as ring, session.working("making keys"):
        profile, block = create_profile(
            session.home, ring, name, plan, Description(name, roles), gid=client.gid, time_s=int(time.time()),
            reuse_keys=reuse_keys,
        )  # fmt: skip
    request = request_json(profile, client.gid, block)
    files = [session.home.profile_dir(name) / "request.json", *([out] if out else [])]
    for path in files:
        write_file(path, request)
    if not client.default_identity:
        session.home.set_default_identity(name)
    session.show(
        {"identity": profile.identity.hex(), "name": name, "document_cid": cid_of(block), "request": str(files[-1])},
        [f"identity  {profile.identity.hex()}", f"request   {files[-1]}"],
    )
    session.talk("It is not on the ledger yet: hand the request to a fiduciary, or run `dta identity register`.")


def register(context: typer.Context) -> None:
    """Register this home's identity by itself, where the ledger lets anybody in."""
    session = session_of(context)
    profile = session.profile()
    block = load_document_block(session.home, profile.name)
    with session.keyring() as ring, session.ledger() as ledger, session.working(_WAITING):
        put = _publisher(session, ledger, None)
        outcome = lifecycle.register(ledger, ring.signer(profile), profile.identity, block, put)
    _show_outcome(session, "registered", outcome)


def sponsor(
    context: typer.Context,
    request: Annotated[Path, typer.Argument(help="The request file that `dta identity create` wrote.")],
) -> None:
    """Register somebody else's identity, as a fiduciary. Know whom you sponsor: compare the id it prints."""
    session = session_of(context)
    profile = session.profile()
    identity, block, read = read_request(request, session.client().gid)
    session.talk(f"sponsoring {read.document.name!r}, identity {identity.hex()}")
    with session.keyring() as ring, session.ledger() as ledger, session.working(_WAITING):
        put = _publisher(session, ledger, None)
        outcome = lifecycle.register(ledger, ring.signer(profile), identity, block, put)
    _show_outcome(session, "registered", outcome)


def publish_document(context: typer.Context) -> None:
    """Put this identity's current document to every fiduciary's gateway again."""
    session = session_of(context)
    profile = session.profile()
    block = load_document_block(session.home, profile.name)
    with session.keyring() as ring, session.ledger() as ledger, session.working("uploading"):
        known = ledger.find(leaves.of(IDENTITIES, profile.identity)) is not None
        gateways = publish.gateways_of(publish.fiduciaries(ledger, _genesis(session)))
        signer = ring.signer(profile) if known else None
        results = publish.upload(block, gateways, ledger.trust.gid, signer, session.http())
    rows = [{"gateway": one.gateway, "ok": one.ok, "error": one.error} for one in results]
    session.show(
        {"document_cid": cid_of(block), "gateways": rows},
        [f"{one.gateway}  {'has it' if one.ok else one.error}" for one in results],
    )


def show(
    context: typer.Context,
    who: Annotated[str, typer.Argument(help="A name, an id, or the first digits of one (your own).")] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Only what this home knows; nothing is proved.")] = False,
) -> None:
    """An identity as the ledger has it, proved, and its document, by its CID."""
    session = session_of(context)
    book = NameBook.of_home(session.home)
    identity = book.resolve(who) if who else session.profile().identity
    local = _local_profile(session, identity)
    if offline:
        if local is None:
            raise NotFound(f"this home has no identity {identity.hex()}", hint="without --offline the ledger is asked")
        _show(session, identityview.of_profile(local, _local_block(session, local)))
        return
    with session.ledger() as ledger, session.working("reading"):
        record = ledger.find(leaves.of(IDENTITIES, identity))
        if record is not None:
            gateways = publish.gateways_of(publish.fiduciaries(ledger, _genesis(session)))
            view = identityview.of_record(record, _fetched(session, ledger, record, gateways))
        elif local is not None:
            view = identityview.of_profile(local, _local_block(session, local))
        else:
            raise NotFound(
                f"there is no identity {identity.hex()} on the ledger", hint="it is proved: not registered, so far"
            )
    _show(session, view)


def _show(session: Session, view: dict[str, object]) -> None:
    session.show(view, identityview.lines(view))


def _local_profile(session: Session, identity: bytes) -> Profile | None:
    profiles = (load_profile(session.home, name) for name in session.home.profile_names())
    return next((profile for profile in profiles if profile.identity == identity), None)


def _local_block(session: Session, profile: Profile) -> bytes | None:
    try:
        return load_document_block(session.home, profile.name)
    except NotFound:
        return None


def _fetched(
    session: Session, ledger: Ledger, record: identity_pb2.IdentityRecord, gateways: list[str]
) -> bytes | None:
    """The document's block by its CID: from this home, else from a gateway. None, and said so, when nobody has it."""
    local = _local_profile(session, record.id)
    block = _local_block(session, local) if local is not None else None
    if block is not None and cid_of(block) == record.document_cid:
        return block
    try:
        return session.blocks(ledger.trust.gid).fetch(record.document_cid, gateways)
    except DtaError as error:
        session.talk(f"warning: the document could not be fetched: {error.message}")
        return None


def list_identities(
    context: typer.Context,
    fiduciaries: Annotated[bool, typer.Option("--fiduciaries", help="The fiduciaries, proved, instead.")] = False,
) -> None:
    """The identities of this home, or the ledger's fiduciaries."""
    session = session_of(context)
    if not fiduciaries:
        profiles = [load_profile(session.home, name) for name in session.home.profile_names()]
        session.show(
            {"identities": [{"name": p.name, "identity": p.identity.hex(), "roles": list(p.roles)} for p in profiles]},
            [f"{p.name}  {p.identity.hex()}  {', '.join(p.roles)}" for p in profiles] or ["none yet"],
        )
        return
    genesis = _genesis(session)
    with session.ledger() as ledger, session.working("reading"):
        found = publish.fiduciaries(ledger, genesis)
        powers = {id_: ledger.fiduciary(id_) for id_ in found}
    rows = [identityview.of_fiduciary(record, powers[id_]) for id_, record in found.items()]
    session.show({"fiduciaries": rows}, [identityview.fiduciary_line(row) for row in rows])


@with_groups
def rotate(
    context: typer.Context,
    *,
    new_name: Annotated[str | None, typer.Option("--name", help="Another name in the document.")] = None,
    gateway_url: Annotated[list[str] | None, typer.Option(help="Other gateways (a fiduciary's); repeat it.")] = None,
    new_derived: Annotated[bool, typer.Option("--new-derived-keys", help="New BLS and HPKE keys too.")] = False,
    module: keystores.Module = None,
    following: keystores.Next,
    node: keystores.Node,
) -> None:
    """Go on to the next key, and commit to another. Lifts a suspension. Run it again if it was cut short.

    The new next key is made where the current one was; if that token was stolen, say where else: --next-keystore.
    A fiduciary whose node's token is lost names another: --node-token. Restart the node then.
    """
    session = session_of(context)
    profile = session.profile()

    def elsewhere(choice: Choice, label: str) -> KeystoreConfig | None:
        if not choice.kind and not choice.token:
            return None
        name = f"{label}{profile.generation + 2}"
        return choice.place(name, profile.name, session.home.keystores_dir, Choice("", module))

    change = Rotation(
        elsewhere(following.choice, "next"), new_derived, new_name,
        tuple(gateway_url) if gateway_url is not None else None,
        node=elsewhere(node.choice, "node"),
    )  # fmt: skip
    with session.keyring() as ring, session.ledger() as ledger, session.working(_WAITING):
        rotated, outcome = lifecycle.rotate(
            session.home, ring, ledger, profile, change, _publisher(session, ledger, None), int(time.time())
        )
    _take_node_keystore(session, rotated)
    _show_outcome(session, f"rotated to generation {rotated.generation}", outcome)


def _take_node_keystore(session: Session, profile: Profile) -> None:
    """Let the node of this home, where it is this identity's, use the keystore that the document now names."""
    if profile.node is None or not (session.home.path / NODE_FILE).exists():
        return
    config = load_node_config(session.home.path)
    if config.identity == profile.identity and config.keystore != profile.node:
        write_node_config(replace(config, keystore=profile.node))
        session.talk("The node takes its new keystore when it is started again.")


def suspend(context: typer.Context, yes: Yes = False) -> None:
    """Stop this identity by its current key: it signs nothing until it is rotated."""
    session = session_of(context)
    profile = session.profile()
    session.confirm(f"Suspend {profile.name}, {profile.identity.hex()}? Only the next key can undo it.", yes)
    with session.keyring() as ring, session.ledger() as ledger, session.working(_WAITING):
        outcome = lifecycle.suspend(ledger, ring, profile)
    _show_outcome(session, "suspended", outcome)


def revoke(context: typer.Context, yes: Yes = False) -> None:
    """End this identity, by its next key. Final: nothing can undo it. What it did stays readable."""
    session = session_of(context)
    profile = session.profile()
    session.confirm(f"Revoke {profile.name}, {profile.identity.hex()}, for ever?", yes)
    with session.keyring() as ring, session.ledger() as ledger, session.working(_WAITING):
        outcome = lifecycle.revoke(ledger, ring, profile)
    _show_outcome(session, "revoked", outcome)
