"""From figures to the tables of docs/bench.md, which stand between two marks there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import ROOT
from tests.bench.report_network import growth_tables, job_tables, secrets_tables
from tests.bench.table import table

PAGE = ROOT / "docs" / "bench.md"
BEGIN, END = "<!-- figures: scripts/bench.sh table -->", "<!-- end of figures -->"
Json = dict[str, Any]


def rewrite(documents: Sequence[Json], page: Path = PAGE) -> None:
    """Put the figures of ``documents`` in the page; where two have a part, the later one's stands."""
    merged: Json = {"parts": {}, "machine": documents[-1]["machine"]}
    for document in documents:
        if document["quick"]:
            raise SystemExit("error: figures of --quick are none")
        for name, figures in document["parts"].items():
            merged["parts"][name] = figures
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{tables(merged)}\n{END}{after}", encoding="utf-8")


def tables(document: Json) -> str:
    """Markdown."""
    parts = document["parts"]
    lines = [_machine(document["machine"]), ""]
    for render, names in _TABLES:
        found = {name: parts[name] for name in names if name in parts}
        if found:
            lines += [*render(found), ""]
    return "\n".join(lines)


def _machine(machine: Json) -> str:
    return (
        f"{machine['date']}, commit {machine['commit']}; {machine['cores']} cores of {machine['processor']}, "
        f"{machine['memory_gib']} GiB, Linux {machine['kernel']}, Python {machine['python']}; load average at the "
        f"start {machine['load_average']}."
    )


def _ratios(parts: Json) -> Iterator[str]:
    columns = [parts[name] for name in ("ratio-1", "ratio-4") if name in parts]

    def each(text: Any) -> list[str]:
        return [text(column) for column in columns]

    rows = [
        ["committed orders a second, ours", *each(lambda one: f"{one['dta']['tx_per_s']:.0f}")],
        ["committed transactions a second, kvstore", *each(lambda one: f"{one['kvstore']['tx_per_s']:.0f}")],
        ["**ratio** (each round)", *each(
            lambda one: f"**{one['ratio']:.2f}** ({', '.join(f'{ratio:.2f}' for ratio in one['ratios'])})"
        )],
        ["aim", *each(lambda one: "0.35" if one["validators"] == 1 else "0.40")],
        *(
            [f"seconds to commit, {how}, p50 / p95: ours", *each(lambda one, how=how: _latency(one["dta"], how))]
            for how in ("quiet", "loaded")
        ),
        *(
            [f"the same, {how}: kvstore", *each(lambda one, how=how: _latency(one["kvstore"], how))]
            for how in ("quiet", "loaded")
        ),
        ["processor time a transaction, all nodes and the client, us: ours / kvstore", *each(
            lambda one: f"{one['dta']['processor_us']:.0f} / {one['kvstore']['processor_us']:.0f}"
        )],
        ["of ours: applications / CometBFTs / client", *each(
            lambda one: " / ".join(f"{one['dta'][f'{who}_us']:.0f}" for who in ("application", "comet", "client"))
        )],
        ["bytes a transaction", *each(lambda one: str(one["tx_bytes"]))],
        ["transactions a block: ours / kvstore", *each(
            lambda one: f"{one['dta']['tx_per_block']:.0f} / {one['kvstore']['tx_per_block']:.0f}"
        )],
        ["resident memory of the application", *each(lambda one: f"{one['dta']['application_rss_mb']:.0f} MB")],
    ]  # fmt: skip
    heads = [f"{one['validators']} validator{'s' * (one['validators'] > 1)}" for one in columns]
    yield from table(["", *heads], rows)


def _latency(figures: Json, how: str) -> str:
    return f"{figures[how + '_p50_s']:.2f} / {figures[how + '_p95_s']:.2f}"


def _stages(parts: Json) -> Iterator[str]:
    one = parts["stages"]
    names = ("check_tx", "recheck", "prepare_proposal", "process_proposal", "finalize_block", "commit")
    yield from table(
        ["processor time an order, us", *(name.replace("_", " ") for name in names)],
        [[f"blocks of {one['orders_per_block']}", *(f"{one[name + '_us']:.0f}" for name in names)]],
    )


def _tree(parts: Json) -> Iterator[str]:
    one = parts["tree"]
    rows = []
    for size in ("small", "large"):
        stages = [f"{one[f'{size}_{stage}_us']:.1f}" for stage in ("stage", "commit", "prune", "all", "compaction")]
        rows.append([f"{one[size + '_keys']:,}", *stages, f"{one[size + '_rss_mb']:.0f} MB",
                     f"{one[size + '_peak_rss_mb']:.0f} MB"])  # fmt: skip
    head = ["keys", "stage", "commit", "prune", "all", "compaction beside", "resident", "at its peak"]
    yield from table(head, rows)
    yield ""
    yield (
        f"Microseconds of processor time a changed key, batches of {one['batch_keys']:,}, values of "
        f"{one['value_bytes']} bytes. **{one['ratio']:.2f}** times as much at the greater size (aim: at most 2), "
        f"{one['ratio_with_compaction']:.2f} times with what LevelDB's own thread does beside it."
    )


def _startup(parts: Json) -> Iterator[str]:
    one = parts["startup"]
    bare_s = one["commands"][0]["s"]
    rows = [
        [command["name"], f"{command['s']:.3f}", f"{command['s'] - bare_s:.3f}",
         "" if command["aim_s"] is None else f"{command['aim_s']:.2f}"]
        for command in one["commands"]
    ]  # fmt: skip
    yield from table(["processor time of a process, s", "whole", "above a Python that does nothing", "aim"], rows)


def _serve(parts: Json) -> Iterator[str]:
    one, many = parts["serve"], parts["serve"]["at_once"]
    rows = [
        [phase, f"{of['client_s']:.3f}", f"{of['agent_s']:.3f}", f"{of['added_ms']:.0f}", f"{of['ratio']:.2f}"]
        for phase, of in ((phase, one[phase]) for phase in ("place", "receive"))
    ]
    yield from table(["one at a time, s", "client's own flow", "by the agent", "added, ms", "ratio"], rows)
    yield ""
    yield (
        f"With {many['callers']} callers at once: {many['agent_per_s']:.1f} orders a second by one agent, "
        f"{many['client_per_s']:.1f} by as many client's flows in one process: **{many['ratio']:.2f}**."
    )


def _costs(parts: Json) -> Iterator[str]:
    one = parts["costs"]
    rows = [
        [row["message"], row["case"], f"{row['declared']:,}", f"{row['measured_us']:,.0f}", f"{row['ratio']:.2f}",
         "" if row["within"] else "**outside**"]
        for row in one["rows"]
    ]  # fmt: skip
    yield from table(["message", "case", "declared", "measured, us", "times", ""], rows)
    yield ""
    yield f"Aim: at most {one['factor']:.0f} times too dear or too cheap."


def _hsm(parts: Json) -> Iterator[str]:
    one = parts["hsm"]
    stores = [store for store in ("softhsm", "software") if f"{store}_sign_per_s" in one]
    rows = [
        [store, *(f"{one[f'{store}_{operation}_per_s']:,.0f}" for operation in ("sign", "derive", "make_and_destroy"))]
        for store in stores
    ]
    yield from table(["keystore, a second", "Ed25519 signatures", "derivations", "keys made and destroyed"], rows)


def _curve(parts: Json) -> Iterator[str]:
    one = parts["curve"]
    yield from table(
        ["one blinded partial in G1", "us", "of its bare curve operations"],
        [
            ["two points decoded, seven multiplications, three encodings", f"{one['bare_us']:.0f}", "1"],
            ["verified", f"{one['verify_us']:.0f}", f"**{one['verify_ratio']:.2f}** (aim: at most 1.5)"],
            [f"executed in a block, {one['items']} at a time", f"{one['block_us']:.0f}", f"{one['block_ratio']:.2f}"],
        ],
    )
    yield ""
    yield from table(
        ["M-Pin, RFC 9380 suite", f"of a two-pairing check ({one['pairing_check_ms']:.2f} ms)"],
        [[step, f"{checks:.2f}"] for step, checks in one["mpin"].items()],
    )
    yield ""
    yield "Aim: the server's step at most 2.5."


def _keygen(parts: Json) -> Iterator[str]:
    one = parts["keygen"]
    rows = []
    for size in one["sizes"]:
        of = one[str(size)]
        rows.append([str(size), f"{of['bytes']:,}", f"{of['hook_s']:.2f}", f"{of['ledger_s']:.2f}", str(of["blocks"])])
    yield from table(["fiduciaries", "bytes on the ledger", "hooks, s a node", "ledger, s a node", "blocks"], rows)


_TABLES = (
    (_ratios, ("ratio-1", "ratio-4")),
    (job_tables, ("job",)),
    (_stages, ("stages",)),
    (_tree, ("tree",)),
    (_startup, ("startup",)),
    (_serve, ("serve",)),
    (_costs, ("costs",)),
    (_hsm, ("hsm",)),
    (_curve, ("curve",)),
    (_keygen, ("keygen",)),
    (secrets_tables, ("secrets",)),
    (growth_tables, ("growth",)),
)
