#!/usr/bin/env bash
# Everything that is checked, on a bare machine too. All suites run, whatever fails; the exit code says whether all
# passed, and the last line counts. DTA_WORKERS sets how many processes share an independent suite (default: cores,
# at most 4).
#
#   scripts/test.sh            all suites
#   scripts/test.sh unit cli   some of them
#   scripts/test.sh --list     their names
#   scripts/test.sh --kubo     on demand: blocks in a real Kubo, which is built where it is not (about 6 minutes)
#   scripts/test.sh --kryoptic on demand: keystores in a second PKCS#11 module, which is built where it is not (about 6 minutes)
#   scripts/test.sh --compat   on demand: networks of CometBFT v0.38, v0.39 and v0.40; replays under a second Python
#   scripts/test.sh --networks [--seed S] [--count N]
#                              on demand: N networks (3) that a seed makes, and what it does to them; S, S + 1, ...
#   scripts/test.sh --mutants  on demand: scripts/mutants.sh, all of them
#   scripts/test.sh --full     all suites, and everything on demand
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/bootstrap.sh
. scripts/lib/bootstrap.sh
# shellcheck source=scripts/lib/processes.sh
. scripts/lib/processes.sh

# A check counts as one test. A suite of tests is a directory below tests/.
CHECKS=(lint types imports proto)
TESTS=(unit property vectors conformance sim cli)
ALL=("${CHECKS[@]}" "${TESTS[@]}" hash-seed mutants localnet)
# The localnet mostly waits for blocks: these take, at the lowest priority, what it leaves of the processors.
BESIDE_LOCALNET=(property vectors conformance sim hash-seed mutants)
# Slow to bring up: only when asked for by name, and not part of "all".
ON_DEMAND=(--kubo --kryoptic --compat --networks --mutants)
NETWORKS_COUNT=3
# The simulation's seed: replayed under two hash seeds.
REPLAY_SEED=1

passed=0
failed=0
skipped=0
table=()
failed_suites=()
localnet_started=0
FAILURE_LINES=40
FAILURE_COLUMNS=300
# So long may its networks take to go down when a run is cut short.
LOCALNET_GRACE_S=120

main() {
  local suites=() seed="" count=$NETWORKS_COUNT
  if [ "$*" = --list ]; then
    printf '%s\n' "${ALL[@]}" "${ON_DEMAND[@]}"
    return
  fi
  choose "$@"

  bootstrap "${suites[@]}"
  logs=$(mktemp -d)
  trap leave EXIT
  local beside=() with_localnet="" suite
  [[ " ${suites[*]} " != *" localnet "* ]] || with_localnet=yes
  for suite in "${suites[@]}"; do
    if [[ "$with_localnet" && " ${BESIDE_LOCALNET[*]} " == *" $suite "* ]]; then
      beside+=("$suite")
    elif [ "$suite" != localnet ]; then
      run_suite "$suite"
    fi
  done
  if [ "$with_localnet" ]; then
    begin_localnet
    for suite in "${beside[@]}"; do run_suite "$suite"; done
    run_suite localnet
  fi

  show_failures
  printf '\n%-12s %-8s %8s  %s\n' suite result seconds tests
  printf '%s\n' "${table[@]}"
  printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" = 0 ]
}

# The tests of the localnet in the background; run_suite waits for them.
begin_localnet() {
  localnet_started=$SECONDS
  KEEP_SESSION=yes start_process "$logs/localnet.pid" "$logs/localnet.output" python -m tests.localnet.lanes
}

# Its last line says what came of it. Fails unless everything passed.
wait_for_localnet() {
  while process_alive "$logs/localnet.pid" >/dev/null; do sleep 1; done
  cat "$logs/localnet.output"
  grep -qE '^[0-9]+ passed, 0 failed, [0-9]+ skipped, 0 errors in' "$logs/localnet.output"
}

leave() {
  stop_process "$logs/localnet.pid" "$LOCALNET_GRACE_S"
  rm -rf "$logs"
}

# choose ARGUMENT...: which suites, and of --networks which.
choose() {
  local known=" ${ALL[*]} ${ON_DEMAND[*]} "
  while [ "$#" -gt 0 ]; do
    case "$1" in
      --seed | --count)
        [[ "${2:-}" =~ ^[0-9]+$ ]] || fail "$1 takes a number" "scripts/test.sh --networks --seed 7 --count 2"
        if [ "$1" = --seed ]; then seed=$2; else count=$2; fi
        shift
        ;;
      --full) choose_all && suites+=("${ON_DEMAND[@]}") ;;
      *)
        [[ "$known" == *" $1 "* ]] || fail "no suite is called $1" "one of: ${ALL[*]} ${ON_DEMAND[*]} --full"
        suites+=("$1")
        ;;
    esac
    shift
  done
  [ "${#suites[@]}" -gt 0 ] || choose_all
}

# Every suite that has something to run; one that is not written yet is shown as absent. (Asked for by name, it fails.)
choose_all() {
  local suite
  for suite in "${ALL[@]}"; do
    if written "$suite"; then
      suites+=("$suite")
    else
      table+=("$(printf '%-12s %-8s' "$suite" absent)")
    fi
  done
}

written() {
  case " ${CHECKS[*]} mutants " in *" $1 "*) return ;; esac
  if [ "$1" = hash-seed ]; then
    [ -f tests/sim/replay.py ]
  else
    [ -n "$(find "tests/$1" -name 'test_*.py' 2>/dev/null | head -n 1)" ]
  fi
}

# bootstrap SUITE...: only what those suites need: linting needs no CometBFT.
bootstrap() {
  ensure_venv
  case " $* " in *" unit "* | *" conformance "* | *" cli "* | *" localnet "* | *" --"*) ensure_softhsm ;; esac
  case " $* " in *" --compat "*) bootstrap_compat ;; esac
  case " $* " in *" --compat "* | *" sim "* | *" localnet "*) ensure_other_python ;; esac
  case " $* " in *" localnet "*) ensure_example_signer ;; esac
  case " $* " in *" conformance "*) ensure_age; ensure_agent_client ;; esac
  case " $* " in *" --kubo "*) ensure_kubo ;; esac
  case " $* " in *" --kryoptic "*) ensure_kryoptic ;; esac
  # The suite of keystores takes the other modules along where they are.
  case " $* " in
    *" conformance "*)
      ensure_nss
      find_kryoptic || unset DTA_KRYOPTIC_MODULE
      ;;
  esac
  case " $* " in *" conformance "* | *" cli "* | *" localnet "* | *" --"*) ensure_cometbft "$DTA_ROOT/tools" ;; esac
  # What the checks start (ruff, lint-imports, mypy) is the environment's.
  export PATH="$DTA_ROOT/.venv/bin:$PATH" PYTHON="$DTA_PYTHON"
}

bootstrap_compat() {
  ensure_cometbft "$DTA_ROOT/tools/cometbft-0.38"
  export DTA_COMETBFT_0_38="$DTA_COMETBFT"
  ensure_cometbft "$DTA_ROOT/tools/cometbft-0.40"
  export DTA_COMETBFT_0_40="$DTA_COMETBFT"
}

workers() {
  local cores
  cores=$(nproc 2>/dev/null || echo 2)
  echo "${DTA_WORKERS:-$((cores > 4 ? 4 : cores))}"
}

suite_command() {
  case "$1" in
    lint) command=(ruff check .) ;;
    types) command=(mypy) ;;
    imports) command=(lint-imports) ;;
    proto) command=(scripts/proto.sh --check) ;;
    # A few of tests/mutants, others for each commit; scripts/mutants.sh tries all.
    mutants) command=(python -m tests.mutants --sample "$(git rev-parse HEAD 2>/dev/null || echo none)") ;;
    hash-seed) command=(scripts/hash_seed.sh python -m tests.sim.replay --seed "$REPLAY_SEED") ;;
    localnet) command=(wait_for_localnet) ;;
    --kubo) command=(pytest -rfEs tests/conformance/test_blockstore.py tests/localnet/test_kubo.py) ;;
    --kryoptic) command=(pytest -rfEs tests/conformance/test_keystore.py -k kryoptic) ;;
    --compat) command=(env DTA_COMPAT=1 pytest -rfEs tests/localnet/test_compat.py tests/localnet/test_comet_log.py) ;;
    --mutants) command=(scripts/mutants.sh) ;;
    # What each did, and what came of it, is shown where it passes too.
    --networks)
      command=(env "DTA_NETWORKS_SEED=$seed" "DTA_NETWORKS_COUNT=$count" pytest -rfEs -v -s
        tests/localnet/test_networks_generated.py)
      ;;
    *) command=(pytest -rfEs -n "$(workers)" "tests/$1") ;;
  esac
}

run_suite() {
  local suite=$1 log="$logs/$1" started=$SECONDS status=0 result=passed command counts
  printf '\n== %s\n' "$suite"
  suite_command "$suite"
  if [ "$suite" = localnet ]; then
    started=$localnet_started
  elif [ "$localnet_started" -gt 0 ]; then
    command=(nice -n 19 "${command[@]}")
  fi
  "${command[@]}" 2>&1 | tee "$log" || status=$?
  counts=$(count "$suite" "$log" "$status")
  read -r p f s <<<"$counts"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  if [ "$f" != 0 ]; then
    result=FAILED
    failed_suites+=("$suite")
  fi
  table+=("$(printf '%-12s %-8s %8s  %s passed, %s failed, %s skipped' \
    "$suite" "$result" "$((SECONDS - started))" "$p" "$f" "$s")")
}

# count SUITE LOG STATUS: "passed failed skipped". Tests are counted from pytest's closing line; a check is one.
# A suite that ended badly has failed at least once, even if pytest never got to count (or found no test at all).
count() {
  local line="" p=0 f=0 s=0
  case " ${CHECKS[*]} hash-seed mutants --mutants " in
    *" $1 "*) if [ "$3" = 0 ]; then p=1; else f=1; fi ;;
    *)
      line=$(grep -E '^(=+ )?[0-9]+ (passed|failed|skipped|error|deselected|xfailed)' "$2" | tail -n 1) || true
      p=$(counted "$line" passed)
      f=$(($(counted "$line" failed) + $(counted "$line" 'errors?')))
      s=$(counted "$line" skipped)
      [ "$3" = 0 ] || [ "$f" -gt 0 ] || f=1
      ;;
  esac
  echo "$p $f $s"
}

# What failed, once more and in short: whoever has the end of a long output has the names, and why.
show_failures() {
  local suite
  for suite in "${failed_suites[@]}"; do
    printf '\n== failed in %s\n' "$suite"
    if grep -qE '^(FAILED|ERROR) ' "$logs/$suite"; then
      grep -E '^(FAILED|ERROR) |^E  |^You can reproduce' "$logs/$suite" | cut -c "-$FAILURE_COLUMNS" | tail -n "$FAILURE_LINES"
    else
      tail -n "$FAILURE_LINES" "$logs/$suite" | cut -c "-$FAILURE_COLUMNS"
    fi
  done
}

counted() { if [[ "$1" =~ ([0-9]+)\ $2 ]]; then echo "${BASH_REMATCH[1]}"; else echo 0; fi; }

main "$@"
