"""The pictures of docs/concepts, made by scripts/pages.sh. Lives are the code's tables: each step has an arrow.

A step that is new in a table has no label here: ValueError names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

from abci_app.authority.ceremonies import PHASES
from abci_app.custody.lifecycle import ORDER, REQUEST, VAULT
from abci_app.execution.transitions import Transitions
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2
from tests.support.drawing import Arrow, Box, drawn

Steps = Mapping[tuple[str, str], str]


def steps_of(table: Transitions, enum: Any, prefix: str) -> set[tuple[str, str]]:
    """Every step that a table has, by the names of its statuses without their prefix."""
    name = {value: one.removeprefix(prefix) for one, value in enum.items()}
    return {(name[start], name[end]) for start, ends in table.items() for end in ends}


def _life(
    title: str, description: str, boxes: Mapping[str, Box], labels: Steps, steps: set[tuple[str, str]],
    aside: Mapping[tuple[str, str], float] | None = None, along: Mapping[tuple[str, str], float] | None = None,
) -> list[str]:  # fmt: skip
    if set(labels) != steps:
        without, unknown = sorted(steps - set(labels)), sorted(set(labels) - steps)
        raise ValueError(f"{title}: without a label {without}, no step {unknown}")
    arrows = [
        Arrow(*step, label, (aside or {}).get(step, 0), (along or {}).get(step, 0.5)) for step, label in labels.items()
    ]
    return drawn(title, description, boxes, arrows)


def order() -> list[str]:
    """An order's life."""
    boxes = {
        "PLACED": Box((0, 0.2), ("PLACED", "fiduciaries check"), "begin"),
        "ACTIVE": Box((2, 0.2), ("ACTIVE", "may be asked for"), "begin"),
        "FAILED": Box((0, 1.6), ("FAILED",), "bad"),
        "EXPIRED": Box((1, 1.6), ("EXPIRED",), "end"),
        "CLOSED": Box((2, 1.6), ("CLOSED",), "end"),
    }
    labels = {
        ("PLACED", "ACTIVE"): "threshold-many\nhold their share",
        ("PLACED", "FAILED"): "too many reject",
        ("PLACED", "EXPIRED"): "its end",
        ("PLACED", "CLOSED"): "the principal closes it",
        ("ACTIVE", "EXPIRED"): "its end",
        ("ACTIVE", "CLOSED"): "the principal\ncloses it",
    }
    along = {("PLACED", "CLOSED"): 0.32, ("PLACED", "EXPIRED"): 0.62, ("ACTIVE", "EXPIRED"): 0.62}
    said = "Placed, active once enough fiduciaries hold their share, then closed or expired; failed if too many reject."
    return _life("An order's life", said, boxes, labels, steps_of(ORDER, custody_pb2.OrderStatus, "ORDER_STATUS_"),
                 along=along)


def request() -> list[str]:
    """The life of one request for an order's secret."""
    boxes = {
        "PENDING": Box((0, 0.2), ("PENDING", "who must agree?"), "begin"),
        "GRANTED": Box((1.5, 0.2), ("GRANTED", "the veto window, then answers"), "begin", 240),
        "COMPLETED": Box((3, 0.2), ("COMPLETED", "threshold-many answers"), "begin", 195),
        "CANCELLED": Box((0.1, 1.8), ("CANCELLED",), "end"),
        "EXPIRED": Box((1.5, 1.8), ("EXPIRED",), "end"),
        "VETOED": Box((2.9, 1.8), ("VETOED",), "bad"),
    }
    labels = {
        ("PENDING", "GRANTED"): "the policy\nis satisfied",
        ("PENDING", "CANCELLED"): "its order is closed,\nor who asked is revoked",
        ("PENDING", "EXPIRED"): "the deadline",
        ("PENDING", "VETOED"): "a veto",
        ("GRANTED", "COMPLETED"): "fiduciaries\nanswer",
        ("GRANTED", "VETOED"): "a veto",
        ("GRANTED", "EXPIRED"): "the deadline",
        ("GRANTED", "CANCELLED"): "who asked is revoked",
    }
    along = {
        ("PENDING", "VETOED"): 0.75, ("PENDING", "EXPIRED"): 0.25, ("GRANTED", "CANCELLED"): 0.78,
        ("GRANTED", "VETOED"): 0.35, ("GRANTED", "EXPIRED"): 0.72, ("PENDING", "CANCELLED"): 0.45,
    }  # fmt: skip
    said = "Pending until the policy is satisfied, granted, completed by answers; or vetoed, expired or cancelled."
    return _life("A request's life", said, boxes, labels,
                 steps_of(REQUEST, custody_pb2.RequestStatus, "REQUEST_STATUS_"), along=along)


def vault() -> list[str]:
    """A vault's life."""
    boxes = {
        "OPEN": Box((0, 0.2), ("OPEN", "orders may be placed"), "begin", 170),
        "CLOSING": Box((1.6, 0.2), ("CLOSING", "a delay runs"), "plain"),
        "CLOSED": Box((3.2, 0.2), ("CLOSED", "each fiduciary destroys", "its key of the vault"), "end", 190),
    }
    labels = {
        ("OPEN", "CLOSING"): "its principal\ncloses it",
        ("CLOSING", "OPEN"): "its principal thinks\nbetter of it",
        ("CLOSING", "CLOSED"): "the delay\nis over",
    }
    aside = {("OPEN", "CLOSING"): -22.0, ("CLOSING", "OPEN"): -22.0}
    said = "Open, closing for a delay in which it can be opened again, closed: its keys are destroyed."
    steps = steps_of(VAULT, custody_pb2.VaultStatus, "VAULT_STATUS_")
    return _life("A vault's life", said, boxes, labels, steps, aside)


def ceremony() -> list[str]:
    """The phases of one attempt to make the shares of a key."""
    said = {
        "CONSENT": ("CONSENT", "operators agree"),
        "ACCEPT": ("ACCEPT", "a fresh receive key each"),
        "DEAL": ("DEAL", "sealed shares, public proofs"),
        "DISPUTE": ("DISPUTE", "a bad share is shown to all"),
        "CONFIRM": ("CONFIRM", "a proof of a usable share"),
        "DONE": ("DONE", "the epoch is in force"),
    }
    places = ((0, 0.2), (1.15, 0.2), (2.3, 0.2), (2.3, 2.2), (1.15, 2.2), (0, 2.2))
    boxes = {
        name: Box(place, lines, "begin" if name == "DONE" else "plain", 215)
        for (name, lines), place in zip(said.items(), places, strict=True)
    }
    boxes["FAILED"] = Box((1.15, 1.2), ("FAILED", "who is at fault is named"), "bad", 200)
    phases = list(said)
    labels = dict.fromkeys(pairwise(phases), "") | {(name, "FAILED"): "" for name in phases[:-1]}
    description = "Consent, accept, deal, dispute, confirm, done; an attempt may fail in each, and then names why."
    return _life("A ceremony", description, boxes, labels,
                 steps_of(PHASES, authority_pb2.CeremonyPhase, "CEREMONY_PHASE_"))


def roles() -> list[str]:
    """Who there is, and what passes between them."""
    boxes = {
        "principal": Box((0, 1.5), ("Principal", "entrusts a secret"), "who", 160),
        "parties": Box((1.8, 0.2), ("Parties, vetoers", "agree, or stop it"), "who", 160),
        "beneficiary": Box((3.6, 1.5), ("Beneficiary", "may receive it"), "who", 160),
        "ledger": Box(
            (1.8, 1.5), ("The ledger", "orders, policies, requests, decisions, answers:", "public, replicated, proved"),
            "plain", 350,
        ),
        "fiduciaries": Box(
            (1.8, 3), ("Fiduciaries: alpha, beta, gamma, delta", "each a node, an HSM, a share of each order",
                       "and a vote in each block"), "who", 350,
        ),
    }  # fmt: skip
    arrows = [
        Arrow("principal", "ledger", "an order: policy,\ncommitments"),
        Arrow("principal", "fiduciaries", "an envelope: a share\nsealed to each", along=0.45),
        Arrow("parties", "ledger", "approve, veto"),
        Arrow("beneficiary", "ledger", "a request:\nfresh public keys", 20),
        Arrow("ledger", "beneficiary", "the answers", 20),
        Arrow("ledger", "fiduciaries", "what is owed", 80),
        Arrow("fiduciaries", "ledger", "answers, sealed to\nthe request's keys", 80),
    ]
    return drawn(
        "Three roles",
        "A principal entrusts, fiduciaries keep and answer, a beneficiary receives; the ledger decides when.",
        boxes, arrows,
    )  # fmt: skip


def client() -> list[str]:
    """From a trust file to a record that is believed."""
    chain = (
        ("trust", ("Trust file", "genesis id, validators"), "begin"),
        ("header", ("Header H + 1", "signed by more than 2/3", "of the validators believed"), "plain"),
        ("hash", ("App hash of block H", "stands in that header"), "plain"),
        ("proof", ("Merkle proof", "of this key, at H: a value, or none"), "plain"),
        ("record", ("The record", "an order, a key, a count"), "begin"),
    )
    boxes = {
        name: Box((0.3, 0.15 + 0.85 * number), lines, kind, 260) for number, (name, lines, kind) in enumerate(chain)
    }
    boxes["node"] = Box((2.3, 1.85), ("Any node", "all that it says is checked", "or thrown away"), "who", 220)
    arrows = [
        Arrow("trust", "header"), Arrow("header", "hash"), Arrow("hash", "proof"), Arrow("proof", "record"),
        Arrow("node", "header", "headers, votes"), Arrow("node", "proof", "leaf, proof"),
    ]  # fmt: skip
    return drawn(
        "What a client checks",
        "Trust file, header with signatures, app hash, Merkle proof, record. The node is not believed.",
        boxes, arrows,
    )  # fmt: skip


PICTURES: Final[dict[str, Callable[[], list[str]]]] = {
    "roles": roles, "order": order, "request": request, "vault": vault, "ceremony": ceremony, "client": client,
}  # fmt: skip
