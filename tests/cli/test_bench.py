"""The benchmark runs, in seconds instead of minutes, and its figures become the page's tables. No figure is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench import report
from tests.bench.figures import ROOT


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_the_parts_without_a_network_measure_and_print_one_document(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    parts = ["stages", "tree", "startup", "costs", "hsm", "curve", "keygen"]
    done = bench(*parts, "--quick", "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads(out.read_text())
    assert list(document["parts"]) == parts
    assert document["parts"]["stages"]["finalize_block_us"] > 0
    assert document["parts"]["tree"]["ratio"] > 0
    assert all(command["s"] > 0 for command in document["parts"]["startup"]["commands"])
    assert {row["message"] for row in document["parts"]["costs"]["rows"]} >= {"register_identity", "rotate_identity"}
    assert document["parts"]["hsm"]["software_sign_per_s"] > 0
    assert document["parts"]["curve"]["verify_ratio"] > 0
    assert document["parts"]["keygen"]["4"]["bytes"] > 0
    tables = report.tables(document)
    assert "Ed25519 signatures" in tables
    assert "| dta --help |" in tables
    assert "server, both passes" in tables


def test_a_part_that_is_not_there_is_refused_and_quick_figures_never_reach_the_page(tmp_path: Path) -> None:
    assert bench("speed").returncode == 2
    quick = tmp_path / "quick.json"
    quick.write_text(json.dumps({"quick": True, "machine": {}, "parts": {}}))
    done = bench("table", str(quick))
    assert done.returncode != 0
    assert "--quick" in done.stderr


def test_the_tables_replace_what_stands_between_the_marks_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "bench.md"
    page.write_text(f"before\n\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    rates = {f"software_{name}_per_s": 1234.5 for name in ("sign", "derive", "make_and_destroy")}
    machine = {
        "date": "2026-01-01", "commit": "abc", "cores": 2, "processor": "p", "memory_gib": 1, "kernel": "k",
        "python": "3", "load_average": 0.1,
    }  # fmt: skip
    report.rewrite([{"quick": False, "machine": machine, "parts": {"hsm": rates}}], page)
    text = page.read_text()
    assert text.startswith(f"before\n\n{report.BEGIN}\n\n2026-01-01, commit abc")
    assert "| software | 1,234 |" in text
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
