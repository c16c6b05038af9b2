"""The tables of the parts that run whole networks: the job, what is issued, growth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.bench.table import table

Json = dict[str, Any]
KINDS = ("agents", "cometbfts", "applications", "doors", "client")
PHASES = (("entrust", "ACTIVE", "placed"), ("release", "COMPLETED", "granted"))


def job_tables(parts: Json) -> Iterator[str]:
    """Of part ``job``: a column a number of orders under way."""
    one = parts["job"]
    levels = one["levels"]
    where = f"{one['validators']} validators, {one['hsm']}; orders under way"
    rows = [row for phase in PHASES for row in _phase_rows(list(levels.values()), one["bare"], *phase)]
    yield from table([where, *(f"{int(level):,}" for level in levels)], rows)
    yield ""
    yield _bare(one["bare"]["operations_ms"], "An order's bare cryptography, of one node, in microseconds")
    yield ""
    idle = ", ".join(f"{kind} {one['idle'][kind] * 100:.1f}%" for kind in KINDS[:4])
    yield f"With nothing to do, all nodes together, of a core: {idle}."


def _phase_rows(levels: Sequence[Json], bare: Json, phase: str, end: str, begin: str) -> Iterator[list[str]]:
    def each(text: Callable[[Json], str]) -> list[str]:
        return [text(level[phase]) for level in levels]

    yield [f"**{end} a second**", *each(lambda of: f"**{of['per_s']:.1f}**")]
    yield [f"sent to {end}, s, p50 / p95 / p99", *each(lambda of: _percentiles(of["sent_to_done_s"], 2))]
    yield [f"{begin} to {end}, s, p50 / p95 / p99", *each(lambda of: _percentiles(of["begun_to_done_s"], 2))]
    yield [f"{begin} to {end}, blocks", *each(lambda of: _percentiles(of["begun_to_done_blocks"], 0))]
    yield ["seconds a block", *each(lambda of: f"{of['block_s']:.2f}")]
    yield [f"processor time each, ms: {', '.join(KINDS)}", *each(lambda of: _processor(of["processor_ms"]))]
    yield ["of it for watching, left out below", *each(lambda of: f"{of['watching_ms']:.1f}")]
    name = f"**multiple of the bare {bare[f'{phase}_ms']:.1f} ms**"
    yield [name, *each(lambda of: f"**{of['ratio']:.1f}** ({of['order_ms']:.0f} ms)")]
    prepared = "sealed and uploaded" if phase == "entrust" else "keys made and uploaded"
    yield [f"{prepared} before, ms each", *each(lambda of: f"{of['prepared_s'] / of['prepared'] * 1e3:.0f}")]


def _percentiles(of: Mapping[str, float], digits: int) -> str:
    return " / ".join(f"{of[name]:.{digits}f}" for name in ("p50", "p95", "p99"))


def _processor(of: Mapping[str, float]) -> str:
    return ", ".join(f"{of[kind]:.1f}" for kind in KINDS)


def _bare(operations_ms: Mapping[str, float], what: str) -> str:
    listed = ", ".join(f"{name.replace('_', ' ')} {value * 1e3:.0f}" for name, value in operations_ms.items())
    return f"{what}: {listed}."


def secrets_tables(parts: Json) -> Iterator[str]:
    """Of part ``secrets``: a column a way of asking."""
    one = parts["secrets"]
    columns = [one[name] for name in ("single", "batched", "permits")]
    batch, clients = one["batch"], f"{one['permits']['ended']:,}"
    head = ["singly", f"in batches of {batch}", f"a day's permits for {clients} clients"]
    rows = [
        ["**a second**", *(f"**{of['per_s']:.1f}**" for of in columns)],
        ["requests under way", str(one["singles_under_way"]), str(one["batches_under_way"]), "all"],
        ["sent to answered, s, p50 / p95 / p99", *(_percentiles(of["sent_to_done_s"], 2) for of in columns[:2]),
         f"all in {one['permits']['all_s']:.0f}"],
        [f"processor time each, ms: {', '.join(KINDS)}", *(_processor(of["processor_ms"]) for of in columns)],
        ["bare cryptography each, ms", *(f"{of['bare_ms']:.1f}" for of in columns)],
        ["**multiple of it**", *(f"**{of['ratio']:.1f}** ({of['item_ms']:.0f} ms)" for of in columns)],
    ]  # fmt: skip
    yield from table([f"client secrets, {one['validators']} validators, {one['hsm']}", *head], rows)
    yield ""
    latency = one["latency"]
    yield (
        f"One alone: {latency['seconds']:.2f} s from the request to the opened secret (at most "
        f"{latency['max_s']:.2f} s), answered after {latency['blocks_to_completed']:.0f} blocks."
    )
    yield ""
    yield _bare(one["operations_ms"], "Their bare cryptography, in microseconds")


def growth_tables(parts: Json) -> Iterator[str]:
    """Of part ``growth``: a column a number of existing orders."""
    one = parts["growth"]
    columns = list(one["sizes"].values())

    def each(text: Callable[[Json], str]) -> list[str]:
        return [text(column) for column in columns]

    def each_kind(text: Callable[[Json, str], str]) -> list[str]:
        return each(lambda of: " / ".join(text(of, kind) for kind in ("agent", "application", "cometbft", "door")))

    rows = [
        *(row for phase in PHASES for row in _job_rows([column["job"] for column in columns], *phase)),
        ["an idle node, of a core: agent / application / CometBFT / door", *each_kind(
            lambda of, kind: f"{of['idle_share'][kind] * 100:.1f}%"
        )],
        ["resident memory, MB: agent / application / CometBFT / door", *each_kind(
            lambda of, kind: f"{of['rss_mb'][kind]:.0f}"
        )],
        ["disk of a node, MB: application / CometBFT / door", *each(
            lambda of: " / ".join(f"{of['disk_mb'][kind]:.0f}" for kind in ("application", "cometbft", "door"))
        )],
        ["`dta order list --all`: orders, s (processor s)", *each(
            lambda of: "{orders:,}: {seconds:.1f} ({processor_s:.1f})".format(**of["order_list"])
        )],
        ["a node started again, s: ledger at the others' height / agent acts / has found all blocks", *each(
            lambda of: " / ".join(f"{of['restart'][what]:.1f}" for what in ("ledger_s", "agent_s", "blocks_s"))
        )],
    ]  # fmt: skip
    where = f"{one['validators']} validators, {one['hsm']}, {one['level']} under way; existing orders"
    yield from table([where, *(f"{int(size):,}" for size in one["sizes"])], rows)


def _job_rows(levels: Sequence[Json], phase: str, end: str, begin: str) -> Iterator[list[str]]:
    of = [level[phase] for level in levels]
    yield [f"{end} a second", *(f"{one['per_s']:.1f}" for one in of)]
    yield [f"{begin} to {end}, s, p50 / p95 / p99", *(_percentiles(one["begun_to_done_s"], 2) for one in of)]
    yield ["seconds a block", *(f"{one['block_s']:.2f}" for one in of)]
    yield ["processor time each, ms (multiple of bare)", *(f"{one['order_ms']:.0f} ({one['ratio']:.1f})" for one in of)]
    yield [f"of it {', '.join(KINDS)}", *(_processor(one["processor_ms"]) for one in of)]
