"""What a script starts it stops, by pid: scripts/lib/processes.sh, and the bootstrap's small parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


def bash(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    library = f'set -euo pipefail; . "{ROOT}/scripts/lib/bootstrap.sh"; . "{ROOT}/scripts/lib/processes.sh"\n'
    return subprocess.run(
        ["bash", "-c", library + program, "test", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_is_stopped_by_the_pid_in_its_file(tmp_path: Path) -> None:
    done = bash(
        """
        start_process "$1/a.pid" "$1/a.log" sleep 600
        process_alive "$1/a.pid"
        stop_process "$1/a.pid"
        leftovers "$1"
        """,
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert not runs(int(done.stdout))
    assert not (tmp_path / "a.pid").exists()


def test_one_that_ignores_the_request_to_end_is_killed_with_its_children(tmp_path: Path) -> None:
    stubborn = 'trap "" TERM; sleep 600 & echo "$$ $!"; while :; do sleep 0.1; done'
    done = bash(
        """
        start_process "$1/a.pid" "$1/a.log" bash -c "$2"
        wait_until 10 "its pids" "$1/a.pid" test -s "$1/a.log"
        stop_process "$1/a.pid" 1
        """,
        str(tmp_path),
        stubborn,
    )
    assert done.returncode == 0, done.stderr
    assert "did not end within 1 s" in done.stderr
    assert not any(runs(int(pid)) for pid in (tmp_path / "a.log").read_text().split())


def test_a_pid_that_the_machine_gave_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "600"])
    try:
        (tmp_path / "a.pid").write_text(f"{other.pid} 1\n")
        assert bash('stop_process "$1/a.pid"', str(tmp_path)).returncode == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_the_same_pid_file_does_not_serve_twice(tmp_path: Path) -> None:
    done = bash(
        """
        start_process "$1/a.pid" "$1/a.log" sleep 600
        start_process "$1/a.pid" "$1/a.log" sleep 600 && echo started again
        stop_all "$1"
        """,
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "runs already" in done.stderr
    assert done.stdout == ""


def test_stop_all_ends_every_process_and_leftovers_names_one_that_was_missed(tmp_path: Path) -> None:
    done = bash(
        """
        sleeper='import time; time.sleep(600)'
        for name in a b c; do start_process "$1/$name/x.pid" "$1/$name/log" "$2" -c "$sleeper" "$1"; done
        leftovers "$1" || echo some
        stop_all "$1"
        leftovers "$1" && echo none
        """,
        str(tmp_path),
        sys.executable,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["some", "none"]
    assert done.stderr.count("still running") == 3


def test_waiting_ends_when_the_process_does(tmp_path: Path) -> None:
    done = bash('start_process "$1/a.pid" "$1/a.log" sleep 0.2; wait_for_socket "$1/s" 30 "$1/a.pid"', str(tmp_path))
    assert done.returncode != 0
    assert "ended while waiting" in done.stderr


def test_a_crash_is_a_kill_that_leaves_no_pid_file(tmp_path: Path) -> None:
    start = 'start_process "$1/a.pid" "$1/a.log" sleep 600; process_alive "$1/a.pid"'
    done = bash(f'{start}; kill_process "$1/a.pid"', str(tmp_path))
    assert not runs(int(done.stdout))
    assert not (tmp_path / "a.pid").exists()


def test_a_slow_step_says_so_and_shows_its_output_only_when_it_fails() -> None:
    done = bash("slowly 'building it' bash -c 'echo noise'; slowly 'breaking it' bash -c 'echo reason; exit 3' || true")
    assert done.stdout == ""
    assert "building it ... done in" in done.stderr
    assert "noise" not in done.stderr
    assert "breaking it ... failed after" in done.stderr
    assert "reason" in done.stderr


@pytest.mark.parametrize(
    "form", ["require {module} v1.2.3\n", "require (\n\t{module}-db v9.9.9\n\t{module} v1.2.3\n)\n"]
)
def test_the_version_that_a_module_pins_is_read_from_it(tmp_path: Path, form: str) -> None:
    module = "github.com/cometbft/cometbft"
    (tmp_path / "go.mod").write_text(form.format(module=module))
    assert bash('pinned_version "$1" "$2"', module, str(tmp_path)).stdout == "v1.2.3\n"


def test_a_tool_that_is_in_the_cache_is_not_built_again(tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "cometbft-v0.39.4"
    tool.parent.mkdir()
    tool.write_text("")
    tool.chmod(0o755)
    done = bash('ensure_cometbft; echo "$DTA_COMETBFT"', DTA_CACHE=str(tmp_path))
    assert (done.stdout, done.stderr) == (f"{tool}\n", "")


def test_a_machine_without_a_security_module_is_told_what_happens_instead() -> None:
    # Neither found nor installable: no root, or no apt.
    done = bash(
        'find_softhsm() { return 1; }; id() { echo 1000; }; ensure_softhsm; echo "[$DTA_SOFTHSM_MODULE]"',
    )
    assert done.stdout == "[]\n"
    assert "software keystore" in done.stderr


def test_two_scripts_at_once_build_once(tmp_path: Path) -> None:
    program = """
        build() { [ -e "$1/built" ] || { sleep 0.5; echo built >>"$1/log"; touch "$1/built"; }; }
        alone x build "$1"
    """
    library = f'set -euo pipefail; . "{ROOT}/scripts/lib/bootstrap.sh"\n'
    both = [
        subprocess.Popen(
            ["bash", "-c", library + program, "test", str(tmp_path)], env={**os.environ, "DTA_CACHE": str(tmp_path)}
        )
        for _ in range(2)
    ]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "log").read_text() == "built\n"
