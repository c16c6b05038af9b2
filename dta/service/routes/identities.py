"""/v1/identity: this home's identities, and anybody's, proved; /v1/contacts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Request, Response

from abci_app.cid import cid_of, digest_of
from abci_app.codes import Code
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.records import IDENTITY_HISTORY
from dta.base.errors import NotFound, RefusedByLedger, UsageError
from dta.client.custody.session import Session
from dta.client.identity import document, lifecycle
from dta.client.identity.create import KeystorePlan, create_profile, request_json
from dta.client.identity.document import Description
from dta.client.identity.keys import place
from dta.client.identity.lifecycle import Outcome as Step
from dta.client.identity.lifecycle import Publish, Rotation
from dta.client.identity.profile import ROLES, Profile, adopt_pending, load_document_block, load_pending
from dta.client.ledger import leaves
from dta.client.names import check_free, load_contacts
from dta.client.receipt.identity import status_name
from dta.service.access import Caller, IdentityCredential, IdentityWriter, ReadCredential, Reader
from dta.service.agent import Agent, Outcome, Work
from dta.service.calls import After, IdempotencyKey, Limit, OldPage, Page, People, PerPage, SortBy, page_after
from dta.service.errors import Forbidden
from dta.service.looks import LOOK_S
from dta.service.models import base
from dta.service.models import identities as models
from dta.service.workplace import Workplace

router = APIRouter(tags=["identities"])

WhoPath = Annotated[str, Path(max_length=100, description="an id, its first digits, a name, or a document's CID")]
_ROLE_NAMES = {number: name for name, number in ROLES.items()}


@router.post("/identity", response_model=models.IdentityMade)
async def create(
    request: Request, credential: IdentityCredential, asked: models.NewIdentity
) -> Response:
    """Make an identity in this home and register it; the same name again goes on with it, and makes no second one."""
    agent: Agent = request.app.state.agent
    if not credential.allows(asked.name):
        raise Forbidden("this credential is for no identity of that name", data={"identity": asked.name})
    return await agent.act(request, credential, asked.name, lambda: _create(agent, asked.name))


def _create(agent: Agent, name: str) -> Outcome:
    with agent.turns.of(b"identity", name.encode("utf-8")):
        return _created(agent, name)


def _created(agent: Agent, name: str) -> Outcome:
    workplace = agent.workplace
    if name not in workplace.home.profile_names():
        check_free(workplace.home, name)
        _make(agent, name)
    profile = workplace.profile(name)
    block = load_document_block(workplace.home, name)
    status, extension = "registered", {}
    with workplace.at_work(name) as session:
        put = _publisher(workplace, session)
        try:
            lifecycle.register(session.ledger, session.party.signer, profile.identity, block, put)
        except RefusedByLedger as refused:
            if refused.code != Code.SPONSOR_REQUIRED:
                raise
            status = "sponsor-required"
            extension = {"request": b64encode(request_json(profile, workplace.gid, block)).decode("ascii")}
    return Outcome(
        models.IdentityMade(
            id_document_cid=cid_of(block), identity=profile.identity.hex(), status=status, extension=extension
        )
    )


def _make(agent: Agent, name: str) -> None:
    settings, home = agent.settings.new_identities, agent.workplace.home
    if settings is None:
        raise UsageError(
            "this agent makes no identities", hint="[new_identities] of serve.toml says where their keys go"
        )
    pin_file = home.path / settings.pin_file
    keystores = [
        place(
            "software", path=home.keystores_dir / f"{name}-{part}.keys", module=None, token_label="",
            pin_file=pin_file,
        )
        for part in ("operator", "next")
    ]  # fmt: skip
    description = Description(name, ("principal", "beneficiary"))
    # Key files that no profile refers to are of a call that was killed before it came to write this one.
    profiles = [agent.workplace.profile(one) for one in home.profile_names()]
    used = {kept for one in profiles for kept in (one.keys, one.next_keys, one.root, one.node) if kept is not None}
    is_free = not {kept.path for kept in used} & {new.path for new in keystores}
    create_profile(
        home, agent.workplace.ring, name, KeystorePlan(*keystores), description, gid=agent.workplace.gid,
        time_s=int(agent.now_s()), reuse_keys=is_free,
    )  # fmt: skip


def _publisher(workplace: Workplace, session: Session) -> Publish:
    """Puts documents to the fiduciaries' gateways."""
    people = People.of(workplace, session)
    return lambda block: workplace.publish(block, people.gateways())


@router.get("/identity", response_model=models.IdentityList)
async def list_identities(
    request: Request, credential: ReadCredential, after: After = None, limit: Limit = 100,
    page: Page = None, per_page: PerPage = None, sort_by: SortBy = None,
) -> models.IdentityList:  # fmt: skip
    """This home's identities that the credential may act for, each proved where the ledger has it."""
    agent: Agent = request.app.state.agent
    old = OldPage.of(request, page, per_page, sort_by, limit)

    def read() -> models.IdentityList:
        names = [name for name in agent.workplace.home.profile_names() if credential.allows(name)]
        if old is None:
            chosen, following = page_after(names, names, after, limit)
        else:
            chosen, following = _old_page(agent, names, old), None
        shown = []
        for name in chosen:
            with agent.workplace.at_work(name, within_s=LOOK_S) as session:
                shown.append(_own(agent, session, agent.workplace.profile(name)))
        return models.IdentityList(id_document_list=shown, next=following)

    return await agent.looks.at_nodes(read, credential.id)


def _old_page(agent: Agent, names: list[str], old: OldPage) -> list[str]:
    """By the time of their documents, as `timestamp` shows it."""
    if old.is_sorted:
        home = agent.workplace.home
        names = sorted(names, key=lambda name: (_time_of(load_document_block(home, name)), name))
    return (names[::-1] if old.is_descending else names)[old.start : old.start + old.count]


def _own(agent: Agent, session: Session, profile: Profile) -> models.IdentityShown:
    block = load_document_block(agent.workplace.home, profile.name)
    try:
        return shown(session.ledger.identity(profile.identity), block, profile.name)
    except NotFound:
        found = document.read(block).document
        return models.IdentityShown(
            id_document_cid=cid_of(block), authentication_reference=found.tx_key.hex(),
            bls_public_key=found.bls_key.hex(), timestamp=_time_of(block), identity=profile.identity.hex(),
            name=found.name, local_name=profile.name, status="not registered", roles=list(profile.roles),
            registered_height=0, updated_height=0,
        )  # fmt: skip


def shown(record: identity_pb2.IdentityRecord, block: bytes, local_name: str) -> models.IdentityShown:
    """A proved record; ``block``: its document's, empty where it is not at hand."""
    return models.IdentityShown(
        id_document_cid=record.document_cid, authentication_reference=record.tx_key.hex(),
        bls_public_key=record.bls_key.hex(),
        timestamp=_time_of(block) if block and cid_of(block) == record.document_cid else 0,
        identity=record.id.hex(), name=record.name, local_name=local_name, status=status_name(record),
        roles=[_ROLE_NAMES[role] for role in record.roles], registered_height=record.registered_height,
        updated_height=record.updated_height,
    )  # fmt: skip


def _time_of(block: bytes) -> int:
    return document.read(block).envelope.header.time_s


@router.get("/identity/{who}", response_model=models.IdentityShown)
async def show(request: Request, caller: Reader, who: WhoPath) -> models.IdentityShown:
    """Anybody's identity, proved. A document that was rotated away leads to it too."""
    agent: Agent = request.app.state.agent

    def read(session: Session) -> models.IdentityShown:
        people = People.of(agent.workplace, session, caller.credential.allows)
        record = session.ledger.identity(people.resolve(who))
        own = agent.workplace.identities()
        called = [name for name, id_ in people.names.ids.items() if id_ == record.id]
        local = next((name for name in called if name not in own or caller.credential.allows(name)), "")
        block = session.blocks.kept(record.document_cid) or b""
        if local in own:
            block = load_document_block(agent.workplace.home, local)
        return shown(record, block, local)

    return await agent.look(caller, read)


@router.post("/identity/{who}/rotate", response_model=models.IdentityChanged)
async def rotate(
    request: Request, caller: IdentityWriter, who: WhoPath, asked: base.Nothing | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Go on to the next key, and commit to another. Lifts a suspension."""
    del asked, idempotency_key

    return await _change(request, caller, who, "rotated", _rotate)


def _rotate(work: Work, session: Session, profile: Profile) -> tuple[bytes, Step]:
    """To the next key, unless an earlier call with the same key did: it left the CID that follows."""
    place = work.agent.workplace
    if work.subject and _was_rotated(place, session, profile, work.subject):
        return load_document_block(place.home, profile.name), Step(profile.identity, None)
    rotated, outcome = lifecycle.rotate(
        place.home, place.ring, session.ledger, profile, Rotation(), _publisher(place, session),
        int(work.agent.now_s()), about_to=lambda block: work.bind(digest_of(cid_of(block))),
    )  # fmt: skip
    return load_document_block(place.home, rotated.name), outcome


def _was_rotated(place: Workplace, session: Session, profile: Profile, digest: bytes) -> bool:
    """Whether the identity has, or had, the document of that digest; what this home knows of it is brought up to it."""
    record = session.ledger.identity(profile.identity)
    pending = load_pending(place.home, profile.name)
    if pending is not None and cid_of(pending[1]) == record.document_cid:
        adopt_pending(place.home, *pending)
    if digest_of(record.document_cid) == digest:
        return True
    numbers = range(record.history_count)
    history = (session.ledger.get(leaves.of(IDENTITY_HISTORY, profile.identity, number)) for number in numbers)
    return any(digest_of(one.document_cid) == digest for one in history)


@router.post("/identity/{who}/suspend", response_model=models.IdentityChanged)
async def suspend(
    request: Request, caller: IdentityWriter, who: WhoPath, asked: base.Nothing | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Stop an identity of this home by its current key: only a rotation lifts it."""
    del asked, idempotency_key

    def step(work: Work, session: Session, profile: Profile) -> tuple[bytes, Step]:
        place = work.agent.workplace
        return load_document_block(place.home, profile.name), lifecycle.suspend(session.ledger, place.ring, profile)

    return await _change(request, caller, who, "suspended", step)


@router.post("/identity/{who}/revoke", response_model=models.IdentityChanged)
async def revoke(
    request: Request, caller: IdentityWriter, who: WhoPath, asked: base.Nothing | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """End an identity of this home for ever, by its next key."""
    del asked, idempotency_key

    def step(work: Work, session: Session, profile: Profile) -> tuple[bytes, Step]:
        place = work.agent.workplace
        return load_document_block(place.home, profile.name), lifecycle.revoke(session.ledger, place.ring, profile)

    return await _change(request, caller, who, "revoked", step)


_Step: TypeAlias = Callable[[Work, Session, Profile], tuple[bytes, Step]]


async def _change(request: Request, caller: Caller, who: str, action: str, step: _Step) -> Response:
    def work(work: Work) -> Outcome:
        with work.session() as session:
            identity = People.of(work.agent.workplace, session, work.caller.credential.allows).resolve(who)
            if identity != session.party.identity:
                raise Forbidden("this call is as another identity", data={"identity": identity.hex()})
            if action != "rotated":  # that one leaves the CID that follows
                work.bind(identity)
            with work.alone(b"identity"):
                block, outcome = step(work, session, work.agent.workplace.profile(caller.name))
            return Outcome(
                models.IdentityChanged(
                    identity=identity.hex(), id_document_cid=cid_of(block), action=action, height=outcome.height
                )
            )

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, decides=True)


@router.get("/contacts", response_model=models.ContactList)
async def contacts(
    request: Request, credential: ReadCredential, after: After = None, limit: Limit | None = None
) -> models.ContactList:
    """Whom this home calls what, by name: names come from people, never from the ledger. Of its own identities those
    that the credential is for. Without `limit` all of them."""
    agent: Agent = request.app.state.agent
    home = agent.workplace.home

    def read() -> models.ContactList:
        by_hand, own = load_contacts(home), agent.workplace.identities()
        found = []
        for name, id_ in sorted(agent.workplace.names().ids.items()):
            kind = "own" if name in own else "contact" if name in by_hand else "founder"
            if kind == "own" and not credential.allows(name):
                continue
            found.append(models.Contact(name=name, kind=kind, identity=id_.hex()))
        names = [one.name for one in found]
        page, following = page_after(found, names, after, limit if limit is not None else max(1, len(found)))
        return models.ContactList(contacts=page, next=following)

    return await agent.looks.here(read)
