"""What says again what the code declares, made of the declarations: parts of pages in docs, between two marks, and the
pictures of docs/concepts.

    scripts/pages.sh            write them anew
    scripts/pages.sh --check    fail where a page or picture says something else
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from abci_app.codes import CODES, Code
from abci_app.execution.spec import MessageClass, MessageSpec
from abci_app.messages.registry import EVENTS, INDEXES, LEAVES, SPECS
from abci_app.params import _BOUNDS as BOUNDS
from abci_app.state.collection import AnyCollection
from dta.base.errors import EXIT_CODES
from dta.base.settings import Setting
from dta.cli.config import FILES, declared
from tests.support import openapi, rest_pages, sdk_pages
from tests.support.checks import all_checks
from tests.support.command_pages import commands
from tests.support.pictures import PICTURES
from tests.support.tables import table

ROOT: Final = Path(__file__).resolve().parents[2]


def _key(places: AnyCollection) -> tuple[str, str]:
    """The first two columns of what is in state."""
    return f"`{places.prefix.decode('ascii')}`", ", ".join(part.text for part in places.parts)


def leaves() -> list[str]:
    """Every kind of leaf."""
    rows = [(*_key(one), one.value, one.written_by) for one in LEAVES]
    return table(("prefix", "then", "value", "written by"), rows)


def indexes() -> list[str]:
    """Every index."""
    rows = [(*_key(one), one.value, one.one_for) for one in INDEXES]
    return table(("prefix", "then", "value", "there is one for"), rows)


def codes() -> list[str]:
    """Every code."""
    rows = [
        (str(number), row.name, row.meaning, "yes" if row.retry else "no", row.hint)
        for number, row in sorted(CODES.items())
    ]
    return table(("code", "name", "meaning", "retry", "hint"), rows, "|---:|---|---|---|---|")


def reasons() -> list[str]:
    """The reasons of each code that several checks refuse with."""
    found: dict[str, dict[str, None]] = {}
    for check in sorted(all_checks()):
        if check.reason:
            found.setdefault(check.code, {})[check.reason] = None
    rows = [
        (str(int(code)), code.name, ", ".join(f"`{reason}`" for reason in found[code.name]))
        for code in Code
        if code.name in found
    ]
    return table(("code", "name", "reasons"), rows, "|---:|---|---|")


def events() -> list[str]:
    """Every kind of event."""
    rows = []
    for one in EVENTS:
        actions = ", ".join(f"`{action}`" for action in one.actions)
        rows.append((f"`{one.kind}`", " ".join(filter(None, (actions, one.note))), one.attributes, one.source))
    return table(("event", "`action`", "further attributes", "from"), rows)


def messages() -> list[str]:
    """Every type of transaction: what its module says of itself, and what it declares."""
    return [line for spec in SPECS.values() for line in _message(spec)][:-1]


def _message(spec: MessageSpec[Any]) -> Iterator[str]:
    name = spec.message.DESCRIPTOR.name
    yield f"## {name}"
    yield ""
    said = (inspect.getdoc(inspect.getmodule(spec.execute)) or "").removeprefix(f"{name}: ")
    yield from (said[:1].upper() + said[1:]).split("\n")
    yield ""
    yield f"- signed by: {_signer(spec)}"
    if spec.due is not None:
        yield f"- owed as: {spec.due(spec.message())[0].name}"
    if spec.decides is not None:
        yield "- waits: among the decisions, where state names its signer ([abci-server.md](abci-server.md))"
    yield f"- costs: {f'{spec.cost(spec.message()):,} or more' if spec.parts is None else 'what its results cost'}"
    yield f"- writes: {', '.join(_key(one)[0] for one in spec.writes)}"
    yield f"- emits: {', '.join(dict.fromkeys(f'`{one.kind}`' for one in spec.events))}"
    yield f"- refused with: {', '.join(code.name for code in sorted(spec.codes)) or 'nothing of its own'}"
    yield ""


def _signer(spec: MessageSpec[Any]) -> str:
    if spec.signing_key is not None:
        return "a key that it names itself ([transactions.md](transactions.md))"
    if spec.message_class is MessageClass.RESULT:
        return "the fiduciary's node key or its operator key"
    return "the signer's operator key"


def settings_of(file: str) -> Callable[[], list[str]]:
    """Every setting of a configuration file. The tables of a profile have each other's settings: said once."""

    def rows() -> list[str]:
        shown = [one for one in declared(file) if not one.key.startswith(("next.", "root.", "node."))]
        cells = [(f"`{one.key}`", one.meant, one.says, _default(one)) for one in shown]
        return table(("setting", "what may stand there", "what it does", "default"), cells)

    return rows


def _default(one: Setting) -> str:
    if one.is_required and one.table is None:
        return "has to be there"
    if one.table is not None:
        return ""
    if one.default in (None, ""):
        return "nothing"
    return f"`{one.default}`" if isinstance(one.default, str) else f"`{json.dumps(one.default)}`"


# What people ask about, and the parameter that bounds it.
_SIZES: Final = {
    "bytes of a secret's envelope: the secret, encrypted, and a sealed share for each fiduciary": "max_envelope_bytes",
    "fiduciaries of a consortium": "max_fiduciaries",
    "fiduciaries of one order": "max_order_fiduciaries",
    "members of one authority key": "max_authority_members",
    "bytes of a policy": "max_policy_bytes",
    "seconds of a veto window": "max_veto_window_s",
    "orders of one principal that are open": "max_open_orders_per_identity",
    "vaults of one principal that are open": "max_open_vaults_per_identity",
    "requests of one order that are open": "max_open_requests_per_order",
    "seconds that a request has to be approved in, and again to be answered in": "request_ttl_s",
    "blocks that a transaction may wait to be taken": "max_expiry_blocks",
    "servers of one M-Pin realm": "max_realm_servers",
}


def sizes() -> list[str]:
    """Bounds that users meet: as a new ledger has them, and as far as a vote can go."""
    rows = [
        (says, f"{BOUNDS[name][0]:,}", f"{BOUNDS[name][2]:,}", f"`{name}`") for says, name in _SIZES.items()
    ]
    return table(("", "at most", "by vote at most", "parameter"), rows, "|---|---:|---:|---|")


def exit_codes() -> list[str]:
    """What a command's exit code says."""
    return table(("code", "meaning"), [(str(code), said) for code, said in EXIT_CODES.items()])


PARTS: Final[dict[tuple[str, str], Callable[[], list[str]]]] = {
    ("spec/state.md", "leaves"): leaves,
    ("spec/state.md", "indexes"): indexes,
    ("spec/codes.md", "codes"): codes,
    ("spec/codes.md", "reasons"): reasons,
    ("spec/events.md", "events"): events,
    ("spec/messages.md", "messages"): messages,
    ("howto/sdk.md", "reference"): sdk_pages.reference,
    ("limits.md", "sizes"): sizes,
    ("reference/rest.md", "calls"): lambda: rest_pages.reference(json.loads(openapi.current())),
    ("reference/commands.md", "exit codes"): exit_codes,
    ("reference/commands.md", "commands"): commands,
} | {("howto/configuration.md", f"settings of {file}"): settings_of(file) for file in FILES}
"""By the page, below docs, and the name of the part."""


@cache
def _lines(page: str, part: str) -> tuple[str, ...]:
    """The lines of a part: what is declared does not change while a program runs, and takes a second to read."""
    return tuple(PARTS[page, part]())


def made(page: str, text: str) -> str:
    """``text`` of docs/``page``, its made parts as they should be. Raises ValueError where marks are missing."""
    for of, part in PARTS:
        if of == page:
            begin, end = f"<!-- made by scripts/pages.sh: {part} -->\n", f"<!-- end of {part} -->\n"
            if text.count(begin) != 1 or text.count(end) != 1:
                raise ValueError(f"docs/{page} has not the two marks of {part}")
            before, _, rest = text.partition(begin)
            lines = (f"{line}\n" for line in _lines(of, part))
            text = "".join((before, begin, "\n", *lines, "\n", end, rest.partition(end)[2]))
    return text


def wanted(root: Path = ROOT) -> dict[str, str]:
    """Every page that has made parts, and every picture, as it should be."""
    pages = dict.fromkeys(page for page, _ in PARTS)
    texts = {f"docs/{page}": made(page, (root / "docs" / page).read_text()) for page in pages}
    return texts | {f"docs/concepts/{name}.svg": "\n".join(lines()) + "\n" for name, lines in PICTURES.items()}


def stale(root: Path = ROOT) -> list[str]:
    """The files that do not say what the code declares, or are not there."""
    return _differing(root, wanted(root))


def _differing(root: Path, texts: dict[str, str]) -> list[str]:
    return [name for name, text in texts.items() if not (root / name).is_file() or (root / name).read_text() != text]


def main() -> None:
    """Write the files, or check them. An API that takes something back is written with ``--breaking`` alone."""
    description, api = ROOT / openapi.FILE, openapi.current()
    is_stale = not description.exists() or description.read_text(encoding="utf-8") != api
    texts = wanted()
    found = _differing(ROOT, texts)
    if "--check" in sys.argv[1:]:
        if found or is_stale:
            listed = [*found, *([openapi.FILE] if is_stale else [])]
            sys.exit(f"not what the code declares: {', '.join(listed)}; run scripts/pages.sh")
        return
    for name in found:
        (ROOT / name).write_text(texts[name])
        print(name)
    if is_stale:
        broken = openapi.breaks(openapi.written(description), json.loads(api))
        if broken and "--breaking" not in sys.argv[1:]:
            sys.exit("callers of /v1 would be broken (it only grows): " + "; ".join(broken))
        description.write_text(api, encoding="utf-8")
        print(openapi.FILE)


if __name__ == "__main__":
    main()
