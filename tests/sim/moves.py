"""What people, nodes and attackers send: random transactions over what state holds, most of them sensible."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from google.protobuf.message import Message
from nacl.signing import SigningKey

from abci_app import cid
from abci_app.crypto import hpke, statements
from abci_app.crypto.curve import G1
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, identity_pb2, params_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.collection import Records
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE, PRINCIPAL_VAULTS
from abci_app.state.records import EXTRACTIONS, FIDUCIARIES, ORDERS, REQUESTS, VAULTS, params
from abci_app.state.view import StateView
from dta.crypto.extraction import make_transport
from dta.crypto.scalar import SecretScalar
from dta.node.hooks.bundle import bundles
from tests.sim import anything
from tests.sim.ceremonies import CeremonyMoves, greatest_dispute
from tests.sim.governance import GovernanceMoves
from tests.sim.prelude import PRINCIPALS, Prelude, keys_of, vault_key
from tests.sim.realms import RealmMoves
from tests.support.actors import Actor, body_bytes, seeded, signed_tx
from tests.support.authority import CUSTODY, SIGNING, fixed_entropy, message_of, scalar, spoilt
from tests.support.chain import CHAIN_ID
from tests.support.custody import SEALED, k_of, single


@cache
def _request_key(name: str, tag: int) -> tuple[bytes, bytes, identity_pb2.HpkeKey]:
    seed = seeded("sim-request-key", name, tag)
    return seed + seed, seed, hpke.public_key_of(seed + seed, seed)


def spoilt_bundle(rng: Random, bundle: tx_pb2.SubmitResults) -> tx_pb2.SubmitResults:
    """A result twice, in another order, of no kind, far too many, or one that nobody owes."""
    results = list(bundle.results)
    kind = rng.randrange(5)
    if kind == 0:
        results.append(rng.choice(results))
    elif kind == 1:
        rng.shuffle(results)
    elif kind == 2:
        results.insert(rng.randrange(len(results)), tx_pb2.Result())
    elif kind == 3:
        results *= 300 // len(results)
    else:
        stray = tx_pb2.Result(fulfil_order=tx_pb2.FulfilOrder(order=rng.randbytes(32)))
        results.insert(rng.randrange(len(results)), stray)
    return tx_pb2.SubmitResults(results=results)


def is_of_a_ceremony(kind: DueKind) -> bool:
    """Whether it is a step of a ceremony, of whose messages any part may be wrong."""
    return DueKind.ACCEPT_CEREMONY <= kind <= DueKind.CONFIRM_SHARE


class Moves:
    """Makes transactions. ``rotating``: a rotation's bytes -> who moves to its next key when it is committed.

    ``by_itself``: a fiduciary that answers by itself what is of no ceremony (tests/sim/answering.py).
    """

    def __init__(self, rng: Random, start: Prelude) -> None:
        self.rng = rng
        self.gid = start.gid
        self.fiduciaries = [copy.copy(actor) for actor in start.fiduciaries]
        self.people = [copy.copy(actor) for actor in start.people]
        self.principals = self.people[: len(PRINCIPALS)]
        self.rotating: dict[bytes, tuple[Actor, str]] = {}
        self.sent: list[bytes] = []
        self.by_itself = b""
        self.governance = GovernanceMoves(rng, start.gid, self.fiduciaries, start.candidate, self.people)
        self.ceremonies = CeremonyMoves(rng, start.gid, self.fiduciaries)
        self.keys = keys_of(tuple(sorted(actor.identity for actor in self.fiduciaries)))
        self.custody, self.signing = (
            next(key for key in self.keys.values() if key.purpose == purpose) for purpose in (CUSTODY, SIGNING)
        )
        self.realms = RealmMoves(rng, start.gid, self.people)
        self._entropy = fixed_entropy(rng.random())
        self._by_id = {actor.identity: actor for actor in (*self.fiduciaries, *self.people)}
        self._makers: list[tuple[int, Callable[[StateView, int, int], bytes | None]]] = [
            (36, self._place), (56, self._request), (44, self._approve), (20, self._veto), (8, self._close_order),
            (6, self._open_vault), (4, self._close_vault), (5, self._cancel_close), (16, self._report),
            (1, self._suspend), (3, self._rotate), (2, self._register), (1, self._revoke), (10, self._again),
            (8, self._garbage), (6, self._stray_result), (3, self._rotate_validator_key),
            (16, self._propose), (8, self._vote), (3, self._withdraw), (14, self._consent),
            (6, self._entrust), (6, self._sign), (4, self._bad_partial), (24, self._in_realm),
        ]  # fmt: skip
        if anything.UNWRITTEN:  # else the schedules of a seed are what they were
            self._makers.append((20, self._anything))

    def random(self, view: StateView, height: int, time_s: int) -> bytes | None:
        """One transaction of somebody, or nothing where nothing fits."""
        weights = [weight for weight, _ in self._makers]
        make = self.rng.choices([maker for _, maker in self._makers], weights)[0]
        tx = make(view, height, time_s)
        if tx is not None:
            self.sent.append(tx)
        return tx

    def results(self, view: StateView, height: int, time_s: int) -> list[bytes]:
        """What the fiduciaries' hooks answer: most of what is due, some of it twice, early or wrong, some together."""
        txs = []
        for fiduciary in self.fiduciaries:
            answers = []
            for key, value in list(view.index_scan(DUE.under(fiduciary.identity))):
                owed = due.parse(key, value)
                if fiduciary.identity == self.by_itself and not is_of_a_ceremony(owed.kind):
                    continue
                ready = owed.from_time_s <= time_s and owed.from_height <= height
                if (ready or self.rng.random() < 0.1) and self.rng.random() < 0.7:
                    message = self._answer(view, fiduciary, owed)
                    if message is not None:
                        answers.append(message)
            answers = self._together(answers, params(view)) if self.rng.random() < 0.6 else answers
            txs += [self._tx(fiduciary, answer, height, key=fiduciary.node_key) for answer in answers]
        return txs

    def _together(self, answers: list[Message], limits: params_pb2.Params) -> list[Message]:
        """The answers in bundles; now and then one that is spoilt."""
        rng, made = self.rng, bundles(answers, limits)
        for number, one in enumerate(made):
            if isinstance(one, tx_pb2.SubmitResults) and rng.random() < 0.35:
                made[number] = spoilt_bundle(rng, one)
        return made

    def votes(self, view: StateView, height: int) -> list[bytes]:
        """What the fiduciaries' operators vote on what is open."""
        return [self._tx(voter, message, height) for voter, message in self.governance.votes(view)]

    def committed(self, tx: bytes) -> None:
        """A transaction succeeded: who rotated has its next key now."""
        if tx in self.rotating:
            actor, document_cid = self.rotating.pop(tx)
            actor.generation += 1
            actor.previous_cid = document_cid

    def _answer(self, view: StateView, fiduciary: Actor, owed: due.Due) -> Message | None:
        if is_of_a_ceremony(owed.kind):
            return self.ceremonies.answer(fiduciary, owed, view)
        message = self.said(view, fiduciary, owed.kind, owed.subject)
        if isinstance(message, tx_pb2.FulfilOrder) and self.rng.random() < 0.35:
            return tx_pb2.RejectOrder(order=owed.subject, rejection=self.rng.randint(1, 8))
        if owed.kind in (DueKind.SUBMIT_PARTIALS, DueKind.SUBMIT_UNBLINDED) and self.rng.random() < 0.15:
            return spoilt(self.rng, message)
        return message

    def said(self, view: StateView, fiduciary: Actor, kind: DueKind, subject: bytes) -> Message:
        """What an honest hook says, of no ceremony."""
        if kind == DueKind.PUBLISH_VAULT_KEY:
            return tx_pb2.PublishVaultKey(vault=subject, key=vault_key(fiduciary))
        if kind == DueKind.ERASE_VAULT:
            return tx_pb2.ConfirmVaultErased(vault=subject)
        if kind in (DueKind.SUBMIT_PARTIALS, DueKind.SUBMIT_UNBLINDED) or EXTRACTIONS.find(view, subject):
            return self._honest_partials(view, fiduciary, subject)
        if kind == DueKind.FULFIL_SECRET:
            return tx_pb2.FulfilSecret(request=subject, sealed=SEALED)
        return tx_pb2.FulfilOrder(order=subject)

    def _tx(self, actor: Actor, message: Message, height: int, key: SigningKey | None = None) -> bytes:
        made_at_height = 0
        if key is not None and key == actor.node_key and self.rng.random() < 0.7:
            made_at_height = max(0, height + self.rng.choice([-1, 0, 0, 0, 1, 2, 3, 4, 20]))
        expires_at_height = height + self.rng.randint(1, 12)
        body = body_bytes(CHAIN_ID, message, expires_at_height, self.rng.randbytes(16), made_at_height)
        if self.rng.random() < 0.03:  # signed by somebody else, or in another's name
            key = self.rng.choice(self.people).tx_key
        return signed_tx(self.gid, actor.identity, key or actor.tx_key, body)

    def _nonce(self) -> bytes:
        return seeded("nonce", self.rng.randrange(12))

    def _pick(self, view: StateView, records: Records[Any, bytes]) -> bytes | None:
        """Any record's id, but mostly one of those with which something can still happen."""
        found = [record.id for record in records.all(view)]
        if records is ORDERS:
            alive = [id_ for id_ in found if ORDERS.get(view, id_).status == custody_pb2.ORDER_STATUS_ACTIVE]
        elif records is REQUESTS:
            alive = [id_ for id_ in found if not REQUESTS.get(view, id_).settled_height]
        else:
            alive = [id_ for id_ in found if VAULTS.get(view, id_).status == custody_pb2.VAULT_STATUS_OPEN]
        if alive and self.rng.random() < 0.85:
            return self.rng.choice(alive)
        return self.rng.choice(found) if found else None

    def _someone(self, likely: Actor | None) -> Actor:
        everybody = [*self.people, *self.fiduciaries]
        return likely if likely is not None and self.rng.random() < 0.9 else self.rng.choice(everybody)

    def _place(self, view: StateView, height: int, time_s: int) -> bytes:
        rng, principal = self.rng, self._someone(self.rng.choice(self.principals))
        named = rng.sample(self.fiduciaries, rng.randint(1, 4))
        people = [actor.identity for actor in rng.sample(self.people, rng.randint(1, 3))]
        policy = rng.choice([
            single(rng.choice(people)), k_of(rng.randint(1, len(people)), *people),
            k_of(1, *people, not_before_s=time_s + rng.randint(-20, 20)),
            k_of(1, *people, not_after_s=time_s + rng.randint(0, 40)),
        ])  # fmt: skip
        policy.veto_window_s = rng.choice([0, 0, 20])
        if policy.veto_window_s and rng.random() < 0.5:
            policy.vetoers.extend(actor.identity for actor in rng.sample(self.people, rng.randint(1, 2)))
        beneficiary = rng.choice(self.people).identity if rng.random() < 0.8 else b""
        vault = self._vault(view, principal)
        if rng.random() < 0.05:
            policy.nodes.add(threshold=9)
        message = tx_pb2.PlaceOrder(
            nonce=self._nonce(), custodian="hsm-realm", vault=vault,
            fiduciaries=[actor.identity for actor in named], threshold=rng.randint(1, len(named)),
            share_commitments=[seeded("share", n) for n in range(len(named))], key_commitment=seeded("key"),
            envelope_cid=cid.cid_of(b"envelope"), policy=policy,
            rule=custody_pb2.BeneficiaryRule(identity=beneficiary),
            expires_at_time_s=rng.choice([0, 0, 0, time_s + rng.randint(0, 150)]),
            expires_at_height=rng.choice([0, 0, 0, height + rng.randint(0, 12)]),
        )  # fmt: skip
        return self._tx(principal, message, height)

    def _vault(self, view: StateView, principal: Actor) -> bytes:
        if self.rng.random() < 0.03:
            return bytes(32)
        mine = [vault for _, vault in PRINCIPAL_VAULTS.entries(view, principal.identity)]
        with_keys = [id_ for id_ in mine if VAULTS.get(view, id_).published == 4]
        if with_keys and self.rng.random() < 0.8:
            return self.rng.choice(with_keys)
        return self.rng.choice(mine) if mine else bytes(32)

    def _partials(self, view: StateView, fiduciary: Actor, request: bytes) -> Message:
        """A member's answer; now and then made with another's share, for the wrong epoch, or with a byte changed."""
        message = self._honest_partials(view, fiduciary, request)
        return spoilt(self.rng, message) if self.rng.random() < 0.15 else message

    def _honest_partials(self, view: StateView, fiduciary: Actor, request: bytes) -> Message:
        record = EXTRACTIONS.get(view, request)
        return message_of(view, self.gid, self.keys[record.authority], fiduciary, request, self._entropy)

    def _bad_partial(self, view: StateView, height: int, _: int) -> bytes | None:
        """A partial for another request, by somebody who may have answered already, or replayed whole."""
        found = [record.id for record in EXTRACTIONS.all(view)]
        open_ = extraction_pb2.EXTRACTION_STATUS_PENDING
        pending = [id_ for id_ in found if EXTRACTIONS.get(view, id_).status == open_]
        if not pending:
            return None
        fiduciary = self.rng.choice(self.fiduciaries)
        message: Any = self._partials(view, fiduciary, self.rng.choice(pending))
        message.request = self.rng.choice(found)
        sender = self.rng.choice([fiduciary, self.rng.choice(self.fiduciaries)])
        return self._tx(sender, message, height, key=sender.node_key)

    def _in_realm(self, view: StateView, height: int, time_s: int) -> bytes:
        signer, message = self.realms.random(view, time_s)
        return self._tx(signer, message, height)

    def _anything(self, view: StateView, height: int, _: int) -> bytes:
        signer = self._someone(self.rng.choice(self.principals))
        return self._tx(signer, anything.message(self.rng, view), height)

    def _entrust(self, _: StateView, height: int, __: int) -> bytes:
        """An order under the custody key, or, wrongly, under the signing key."""
        principal = self._someone(self.rng.choice(self.principals))
        people = [actor.identity for actor in self.rng.sample(self.people, self.rng.randint(1, 3))]
        message = tx_pb2.PlaceOrder(
            nonce=self._nonce(), custodian=self.rng.choice(["mpc-bls"] * 9 + ["hsm-realm"]),
            authority=self.rng.choice([self.custody.id] * 9 + [self.signing.id]), envelope_cid=cid.cid_of(b"envelope"),
            policy=k_of(1, *people, veto_window_s=self.rng.choice([0, 0, 20])),
            rule=custody_pb2.BeneficiaryRule(identity=self.rng.choice(self.people).identity),
        )  # fmt: skip
        return self._tx(principal, message, height)

    def _sign(self, _: StateView, height: int, __: int) -> bytes:
        rng, who = self.rng, self._someone(self.rng.choice(self.fiduciaries))
        message = extraction_pb2.PlaceSigningOrder(
            nonce=self._nonce(), authority=rng.choice([self.signing.id] * 9 + [self.custody.id]), kind="test",
            message=b"message", raw=rng.random() < 0.3, names=rng.choice([6] * 9 + [3]),
        )  # fmt: skip
        if rng.random() < 0.5:
            message.policy.CopyFrom(single(rng.choice(self.people).identity))
            message.policy.veto_window_s = rng.choice([0, 20])
        return self._tx(who, message, height)

    def _request(self, view: StateView, height: int, _: int) -> bytes | None:
        id_ = self._pick(view, ORDERS)
        if id_ is None:
            return None
        order = ORDERS.get(view, id_)
        signer = self._someone(self._by_id.get(order.rule.identity, self._by_id[order.principal]))
        tag = self.rng.randrange(4)
        named = [self._by_id[fiduciary].name for fiduciary in order.fiduciaries]
        digests = [statements.hpke_key_digest(_request_key(name, tag)[2]) for name in named]
        if order.authority:
            return self._tx(signer, self._request_by_transport(order, signer, tag), height)
        message = tx_pb2.RequestSecret(
            order=id_, nonce=seeded("nonce", tag), beneficiary=signer.identity, keys_cid=cid.cid_of(b"keys"),
            key_digests=digests,
        )  # fmt: skip
        if not order.rule.identity and self.rng.random() < 0.7:
            request = statements.request_id(self.gid, id_, signer.identity, message.nonce)
            statement = statements.authorisation_statement(self.gid, request, message)
            message.authorisation = self._by_id[order.principal].tx_key.sign(statement).signature
        return self._tx(signer, message, height)

    def _request_by_transport(self, order: custody_pb2.OrderRecord, signer: Actor, tag: int) -> tx_pb2.RequestSecret:
        nonce = seeded("nonce", tag)
        request = statements.request_id(self.gid, order.id, signer.identity, nonce)
        x = SecretScalar(scalar("transport", self.rng.randrange(1_000)))  # now and then one that was used before
        made = make_transport(
            G1, self.gid, extraction_pb2.USE_CUSTODY, request, order.id, signer.identity, x, self._entropy
        )
        return tx_pb2.RequestSecret(
            order=order.id, nonce=nonce, beneficiary=signer.identity, transport_key=made.point, possession=made.proof
        )

    def _some_request(self, view: StateView) -> custody_pb2.RequestRecord | None:
        id_ = self._pick(view, REQUESTS)
        return None if id_ is None else REQUESTS.get(view, id_)

    def _decision(self, view: StateView, height: int, kind: type[Message]) -> bytes | None:
        request = self._some_request(view)
        if request is None:
            return None
        policy = ORDERS.get(view, request.order).policy
        parties = [node.identity for node in policy.nodes if node.identity in self._by_id]
        signer = self._someone(self._by_id[self.rng.choice(parties)])
        digest = request.content_digest if self.rng.random() < 0.95 else bytes(32)
        return self._tx(signer, kind(request=request.id, content_digest=digest), height)

    def _approve(self, view: StateView, height: int, _: int) -> bytes | None:
        return self._decision(view, height, tx_pb2.ApproveRequest)

    def _veto(self, view: StateView, height: int, _: int) -> bytes | None:
        return self._decision(view, height, tx_pb2.VetoRequest)

    def _close_order(self, view: StateView, height: int, _: int) -> bytes | None:
        id_ = self._pick(view, ORDERS)
        if id_ is None:
            return None
        principal = self._someone(self._by_id[ORDERS.get(view, id_).principal])
        return self._tx(principal, tx_pb2.CloseOrder(order=id_), height)

    def _open_vault(self, _: StateView, height: int, __: int) -> bytes:
        named = self.rng.sample(self.fiduciaries, self.rng.randint(1, 4))
        ids = [actor.identity for actor in named]
        message = tx_pb2.OpenVault(nonce=self._nonce(), custodian="hsm-realm", fiduciaries=ids)
        return self._tx(self._someone(self.rng.choice(self.principals)), message, height)

    def _close_vault(self, view: StateView, height: int, _: int) -> bytes:
        principal = self._someone(self.rng.choice(self.principals))
        return self._tx(principal, tx_pb2.CloseVault(vault=self._vault(view, principal)), height)

    def _cancel_close(self, view: StateView, height: int, _: int) -> bytes:
        principal = self._someone(self.rng.choice(self.principals))
        return self._tx(principal, tx_pb2.CancelCloseVault(vault=self._vault(view, principal)), height)

    def _report(self, view: StateView, height: int, _: int) -> bytes | None:
        request = self._some_request(view)
        if request is None:
            return None
        fiduciary = self.rng.choice(self.fiduciaries)
        seed, private, _key = _request_key(fiduciary.name, self.rng.randrange(4))
        message = tx_pb2.ReportShare(
            request=request.id, fiduciary=fiduciary.identity, mlkem768_seed=seed, x25519_private=private
        )
        return self._tx(self._someone(self._by_id[request.beneficiary]), message, height)

    def _suspend(self, _: StateView, height: int, __: int) -> bytes:
        return self._tx(self._someone(None), tx_pb2.SuspendIdentity(), height)

    def _rotate(self, _: StateView, height: int, __: int) -> bytes:
        actor = self._someone(None)
        block = actor.next_document(self.gid)
        key = actor.key(actor.generation + self.rng.choice([0, 1, 1, 1]))
        tx = self._tx(actor, tx_pb2.RotateIdentity(envelope=block), height, key=key)
        self.rotating[tx] = (actor, cid.cid_of(block))
        return tx

    def _revoke(self, _: StateView, height: int, __: int) -> bytes:
        actor = self.rng.choice(self.people[1:])
        next_key = actor.key(actor.generation + 1)
        return self._tx(actor, tx_pb2.RevokeIdentity(next_key=bytes(next_key.verify_key)), height, key=next_key)

    def _rotate_validator_key(self, view: StateView, height: int, _: int) -> bytes:
        fiduciary = self.rng.choice(self.fiduciaries)
        key = SigningKey(seeded("sim-validator", self.rng.randrange(40)))
        public, old_key = bytes(key.verify_key), FIDUCIARIES.get(view, fiduciary.identity).validator_key
        statement = statements.validator_key_statement(self.gid, fiduciary.identity, public, old_key)
        proof = key.sign(statement if self.rng.random() < 0.9 else b"").signature
        return self._tx(self._someone(fiduciary), tx_pb2.RotateValidatorKey(key=public, proof=proof), height)

    def _propose(self, view: StateView, height: int, _: int) -> bytes:
        proposer, message = self.governance.propose(view, height)
        if self.rng.random() < 0.3:
            message.action.CopyFrom(self.ceremonies.propose(view))
        return self._tx(self._someone(proposer), message, height)

    def _vote(self, view: StateView, height: int, _: int) -> bytes | None:
        move = self.governance.vote(view)
        return None if move is None else self._tx(self._someone(move[0]), move[1], height)

    def _withdraw(self, view: StateView, height: int, _: int) -> bytes | None:
        move = self.governance.withdraw(view)
        return None if move is None else self._tx(self._someone(move[0]), move[1], height)

    def _consent(self, view: StateView, height: int, _: int) -> bytes | None:
        move = self.ceremonies.consent(view)
        return None if move is None else self._tx(self._someone(move[0]), move[1], height)

    def _register(self, _: StateView, height: int, __: int) -> bytes:
        newcomer = Actor(f"newcomer-{self.rng.randrange(3)}")
        message = tx_pb2.RegisterIdentity(envelope=newcomer.enrol(self.gid))
        signer = newcomer if self.rng.random() < 0.5 else self._someone(self.fiduciaries[0])
        return self._tx(signer, message, height)

    def _again(self, *_: object) -> bytes | None:
        return self.rng.choice(self.sent) if self.sent else None

    def _stray_result(self, view: StateView, height: int, _: int) -> bytes:
        """A result that nobody waits for, or from somebody who does not owe it."""
        fiduciary = self.rng.choice(self.fiduciaries)
        order, request = self._pick(view, ORDERS), self._pick(view, REQUESTS)
        message = self.rng.choice([
            tx_pb2.FulfilOrder(order=order or bytes(32)), tx_pb2.FulfilSecret(request=request or b"", sealed=SEALED),
            tx_pb2.ConfirmVaultErased(vault=bytes(32)), tx_pb2.RejectOrder(order=order or bytes(32), rejection=77),
            greatest_dispute(self.rng),
        ])  # fmt: skip
        return self._tx(fiduciary, message, height, key=self.rng.choice([fiduciary.node_key, fiduciary.tx_key]))

    def _garbage(self, *_: object) -> bytes:
        """Random bytes, or something sent before with a byte changed or cut."""
        if not self.sent or self.rng.random() < 0.3:
            return self.rng.randbytes(self.rng.randrange(120))
        tx = bytearray(self.rng.choice(self.sent))
        if tx:
            tx[self.rng.randrange(len(tx))] ^= 1 << self.rng.randrange(8)
        return bytes(tx[: self.rng.choice([len(tx), len(tx), len(tx) - 1])])
