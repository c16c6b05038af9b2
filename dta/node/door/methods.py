"""Which of CometBFT's RPC methods strangers may call, with which parameters, and what each costs (docs/spec/door.md).

A call is read, checked and written anew: nothing that a client spelt reaches CometBFT but the values of the parameters
that stand here. What is not here is refused, and so is what has one parameter too many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from abci_app.limits import MAX_TX_BYTES

MIB: Final = 1 << 20
MAX_CALL_BYTES: Final = MAX_TX_BYTES * 4 // 3 + 1024
"""The largest transaction in base64, and the call around it."""
MAX_ID_CHARS: Final = 64
MAX_KEY_HEX_CHARS: Final = 2048
BYTES_PER_UNIT: Final = 64 << 10
"""What an answer of a method that costs by its bytes costs: one unit for so many."""
_HASH_BYTES: Final = 32

_HEIGHT = re.compile(r"0|[1-9][0-9]{0,18}")
_COUNT = re.compile(r"[1-9][0-9]{0,5}")
_CHUNK = re.compile(r"0|[1-9][0-9]{0,5}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")
_ID = re.compile(r"[ -~]*")


class BadCall(Exception):
    """It is no call that is answered here. ``code``: JSON-RPC 2.0's; ``id``: the call's, None where it has none."""

    def __init__(self, code: int, message: str, id_: int | str | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.id = id_


class Lane(Enum):
    """Which calls share a bound on how many are answered at a time."""

    LIGHT = "light"
    QUERY = "query"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Method:
    """One method: which parameters it takes, its cost in units beforehand, and the most that its answer may be.

    ``cost_by_bytes``: the answer's length is charged too, as it goes out. ``is_read``: it changes nothing.
    """

    params: Mapping[str, Callable[[Any], bool]]
    required: frozenset[str]
    cost: int
    max_answer_bytes: int
    lane: Lane = Lane.LIGHT
    cost_by_bytes: bool = False
    is_read: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may be made: ``content`` is what CometBFT is sent."""

    id: int | str
    name: str
    method: Method
    content: bytes


def _matches(form: re.Pattern[str], most: int = 32) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= most and form.fullmatch(value) is not None


def _base64(most_bytes: int) -> Callable[[Any], bool]:
    """Base64 of at most so many bytes."""
    is_of_form = _matches(_BASE64, -(-most_bytes // 3) * 4)
    return lambda value: is_of_form(value) and len(value) // 4 * 3 - value.count("=") <= most_bytes


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


_AT_HEIGHT = {"height": _matches(_HEIGHT)}
_PATHS: Final = frozenset({"/store", "/app/height"})


def _method(
    params: Mapping[str, Callable[[Any], bool]], cost: int, answer_bytes: int, *required: str, **more: Any
) -> Method:
    return Method(params, frozenset(required), cost, answer_bytes, **more)


METHODS: Final[Mapping[str, Method]] = {
    "status": _method({}, 1, MIB // 16),
    "header": _method(_AT_HEIGHT, 1, MIB // 16),
    "commit": _method(_AT_HEIGHT, 1, 4 * MIB),
    "validators": _method(
        {**_AT_HEIGHT, "page": _matches(_COUNT), "per_page": _matches(_COUNT)}, 1, MIB // 4
    ),
    "consensus_params": _method(_AT_HEIGHT, 1, MIB // 16),
    "abci_query": _method(
        {
            "path": lambda value: isinstance(value, str) and value in _PATHS, **_AT_HEIGHT,
            "data": _matches(_HEX, MAX_KEY_HEX_CHARS), "prove": _flag,
        },
        5, MIB, "path", lane=Lane.QUERY,
    ),
    "broadcast_tx_sync": _method(
        {"tx": _base64(MAX_TX_BYTES)}, 5, MIB // 16, "tx", lane=Lane.QUERY, is_read=False
    ),
    "tx": _method(
        {"hash": _base64(_HASH_BYTES), "prove": lambda value: value is False}, 2, MIB, "hash", cost_by_bytes=True
    ),
    "block": _method(_AT_HEIGHT, 1, 16 * MIB, lane=Lane.BULK, cost_by_bytes=True),
    "block_results": _method(_AT_HEIGHT, 1, 32 * MIB, lane=Lane.BULK, cost_by_bytes=True),
    "genesis_chunked": _method(
        {"chunk": _matches(_CHUNK)}, 5, 24 * MIB, "chunk", lane=Lane.BULK, cost_by_bytes=True
    ),
}  # fmt: skip
"""Everything that is answered. CometBFT's state sync needs status, commit, validators and consensus_params of these."""
MOST_UNITS: Final = max(method.cost for method in METHODS.values())
"""What the dearest call costs beforehand."""


def read_call(content: bytes) -> Call:
    """The one call in a request's body. Raises BadCall for a batch, a notification, an unlisted method, parameters
    that are not exactly a method's own, a name that stands twice."""
    try:
        value = json.loads(content.decode("ascii"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadCall(-32700, "it is not JSON, in ASCII, in which every name stands once") from None
    if isinstance(value, list):
        raise BadCall(-32600, "one call a request: no batch")
    if not isinstance(value, dict) or not {"jsonrpc", "id", "method"} <= value.keys() <= _MEMBERS:
        raise BadCall(-32600, "a call has jsonrpc, id, method and params, and nothing else")
    id_ = value["id"]
    if not _is_id(id_):
        raise BadCall(-32600, f"an id is a whole number that is not negative, or at most {MAX_ID_CHARS} characters")
    if value["jsonrpc"] != "2.0":
        raise BadCall(-32600, "jsonrpc is 2.0", id_)
    name, params = value["method"], value.get("params", {})
    method = METHODS.get(name) if isinstance(name, str) else None
    if method is None:
        raise BadCall(-32601, f"this method is not answered here; there are {', '.join(METHODS)}", id_)
    _check_params(method, params, id_)
    # Names in one order and nothing but what was checked: what is sent on was not spelt by the client.
    sent = {"jsonrpc": "2.0", "id": id_, "method": name, "params": {one: params[one] for one in sorted(params)}}
    return Call(id_, name, method, json.dumps(sent).encode("ascii"))


_MEMBERS: Final = frozenset({"jsonrpc", "id", "method", "params"})


def _check_params(method: Method, params: Any, id_: int | str) -> None:
    if not isinstance(params, dict):
        raise BadCall(-32602, "params are an object, by name", id_)
    unknown = sorted(params.keys() - method.params.keys())
    if unknown:
        raise BadCall(-32602, f"the method has no such parameter; it has {', '.join(method.params) or 'none'}", id_)
    missing = sorted(method.required - params.keys())
    if missing:
        raise BadCall(-32602, f"the method needs {', '.join(missing)}", id_)
    for name, value in params.items():
        if not method.params[name](value):
            raise BadCall(-32602, f"{name} is not of the form that is taken here", id_)


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_ID_CHARS and _ID.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)
