"""Every statement that is signed, hashed or proved, said again by code that shares nothing with ours.

tests/vectors/statements restates each from docs/spec; the rows in statements.json are its bytes. Ours must give the
same, for the row's inputs and for each of them changed.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dta.base.errors import DtaError
from dta.hsm.errors import KeystoreError
from tests.support.our_statements import OURS, as_ours
from tests.vectors.statements import generate
from tests.vectors.statements.generate import ROWS
from tests.vectors.statements.rows import SAID, Change, Refused, Row, changes

ROOT = Path(__file__).parents[2]
HERE = Path(generate.__file__).parent
FILE: list[dict[str, Any]] = json.loads(generate.FILE.read_text())
IN_FILE = {row["name"]: row for row in FILE}
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
REFUSALS = (ValueError, OverflowError, DtaError, KeystoreError)
MAY_IMPORT = {
    "__future__", "ast", "base64", "collections", "dataclasses", "functools", "hashlib", "hmac", "json", "pathlib",
    "re", "typing", "cryptography", "py_arkworks_bls12381", "py_ecc",
}  # fmt: skip


def ours(row: Row, inputs: dict[str, Any]) -> bytes:
    result: bytes = OURS[row.name](**{name: as_ours(value) for name, value in inputs.items()})
    return result


def test_the_file_is_what_the_pages_say() -> None:
    assert generate.FILE.read_text() == generate.text(), "run python -m tests.vectors.statements.generate and look why"


def test_names_of_rows_are_unique_and_each_has_its_function() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) == len(IN_FILE)
    assert OURS.keys() == {row.name for row in ROWS}


@each_row
def test_our_code_gives_the_row_s_bytes(row: Row) -> None:
    assert ours(row, row.inputs).hex() == IN_FILE[row.name]["result"]


@each_row
def test_every_input_counts_and_changed_ours_still_gives_what_the_page_says(row: Row) -> None:
    original = row.stated().result
    for change in changes(row.inputs):
        said = _said(row, change)
        if said is None:
            with pytest.raises(REFUSALS):
                ours(row, change.value)
            continue
        counts = not change.is_among(row.ignored)
        assert (said != original) == counts, f"{change.path}, {change.what}: makes {'no' if counts else 'a'} difference"
        try:
            found = ours(row, change.value)
        except REFUSALS:
            assert change.reshaped, f"{change.path}, {change.what}: refused"
            continue
        assert found == said, f"{change.path}, {change.what}: not what the page says"


def _said(row: Row, change: Change) -> bytes | None:
    """What the page says of the changed inputs; None where it allows no such inputs."""
    try:
        return row.restate(**change.value).result
    except (Refused, OverflowError):
        return None


# --- nothing is left out --------------------------------------------------------------------------------------

TAGS = {tag for row in ROWS for tag in row.tags} - {"some-purpose"}
SEPARATOR = re.compile(r"DTA-v1-[A-Za-z0-9_:-]+")
NAMES_A_SEPARATOR = re.compile(r"(TAG|PURPOSE|MAGIC|EMPTY_HASH|_CONFIRM_[A-Z]+)$")
OF_OTHERS = {"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"}  # RFC 9380's own example, in the self-test
TAGGING = {"tagged": 0, "tagged_hash": 0, "challenge": 0, "hedged": 0, "Statement": 0, "_hashed": 1, "derive": 2}
"""What takes a separator, and as which argument."""
HASHING = {"sha256", "sha384", "sha512", "HKDF", "Scrypt", "digest", "ChaCha20Poly1305"}
SHOWN = ("dta/cli/", "dta/localnet/")
"""Where a digest is for people to look at."""
HASHED_DIRECTLY = {
    # By a row of that name, or why it needs none.
    "abci_app/cid.py": "CID of a block",
    "abci_app/crypto/curve.py": "point under a long tag",
    "abci_app/crypto/ed25519.py": "a memo in memory",
    "abci_app/crypto/selftest.py": "known answers of libraries",
    "abci_app/crypto/statements.py": "replay key",
    "abci_app/crypto/transcript.py": "challenge of accept",
    "abci_app/envelope.py": "info of a body's key",
    "abci_app/hashing.py": "order id",
    "abci_app/mfa/amcl.py": "client point, MPIN-BLS12381-AMCL",
    "abci_app/mfa/points.py": "permit identity, MPIN-BLS12381-AMCL",
    "abci_app/signed.py": "the hash of a transaction, as CometBFT's: transactions of a block",
    "abci_app/state/nodes.py": "root of sixty leaves",
    "abci_app/state/pages.py": "root of sixty leaves",
    "abci_app/state/proof.py": "root of sixty leaves",
    "abci_app/state/records.py": "validator address",
    "abci_app/state/tree.py": "root of sixty leaves",
    "abci_app/storage/batches.py": "a node's own store",
    "abci_app/storage/check.py": "a node's own store",
    "abci_app/storage/diff.py": "a node's own store",
    "abci_app/storage/statedb.py": "a node's own store",
    "dta/client/custody/keyfile.py": "file of a request's keys",
    "dta/client/custody/signing.py": "the digest of a long message to sign: what a signing key signs, by digest",
    "dta/client/genesis/cometbft.py": "validator address",
    "dta/client/ledger/reads.py": "transactions of a block",
    "dta/client/ledger/tx.py": "transactions of a block",
    "dta/client/receipt/transactions.py": "transactions of a block",
    "dta/crypto/ibe.py": "ciphertext to an identity",
    "dta/crypto/proofs.py": "proof of confirm",
    "dta/envelope/body.py": "sealed body",
    "dta/hsm/derive.py": "derived key",
    "dta/hsm/sealed_file.py": "file of a software keystore",
    "dta/hsm/software.py": "derived key",
    "dta/light/hashes.py": "transactions of a block",
    "dta/light/merkle.py": "header",
    "dta/light/trust.py": "the digest of a genesis file, as it lies there",
    "dta/light/types.py": "validator address",
    "dta/light/zip215.py": "Ed25519 (RFC 8032), which CometBFT's vectors check",
    "dta/mpin/agreement.py": "keys of the full protocol",
    "dta/mpin/sealing.py": "sealed credential",
    "dta/mpin/suite.py": "y of one pass, MPIN-BLS12381-AMCL, a permit",
    "dta/sdk/keys.py": "derived key",
    "dta/client/custody/shown.py": "the digest of what a signature is over, for who looks at it",
    "dta/service/certificates.py": "the digest of a client certificate, as serve.toml names it",
    "dta/service/docs_page.py": "the digest of a style sheet, for the page's policy",
    "dta/service/idempotency.py": "what a call says, as the agent keeps it",
    "dta/service/news.py": "which items of an inbox were told, by digests that nobody verifies",
    "dta/service/tokens.py": "the digest of 256 random bits",
    "dta/service/webhooks.py": "what Standard Webhooks signs",
}


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the two packages, by its path."""
    files = [file for package in ("abci_app", "dta") for file in sorted((ROOT / package).rglob("*.py"))]
    return {
        file.relative_to(ROOT).as_posix(): ast.parse(file.read_text())
        for file in files
        if not file.is_relative_to(ROOT / "abci_app" / "pb")
    }


def _texts(tree: ast.AST) -> list[str]:
    """The constants of text and bytes that are no docstring."""
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in documented
    ]


def _named_separators(tree: ast.Module) -> list[str]:
    """The constants of a module whose name says that they are one."""
    found = []
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and NAMES_A_SEPARATOR.search(target.id) and isinstance(value, ast.Constant):
            found += _texts(value)
    return found


def test_every_separator_in_the_code_has_a_row_and_every_row_s_is_in_the_code() -> None:
    whole = {text for tree in trees().values() for text in _texts(tree)}
    separators = {text for text in whole if "DTA-v1-" in text}
    assert all(SEPARATOR.fullmatch(text) for text in separators), "a separator stands whole, in a constant of its own"
    separators |= {text for tree in trees().values() for text in _named_separators(tree)} - OF_OTHERS
    assert separators - TAGS == set(), "without a row in tests/vectors/statements (docs/howto/development.md)"
    assert TAGS - whole == set(), "in a row, and in no module"


def test_the_verifiers_in_go_have_no_separator_of_their_own() -> None:
    texts = "".join(file.read_text() for file in (ROOT / "tools").rglob("*.go"))
    assert set(SEPARATOR.findall(texts)) <= TAGS


def test_what_takes_a_separator_is_given_a_constant() -> None:
    for path, tree in trees().items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if name not in TAGGING or len(call.args) <= TAGGING[name]:
                continue
            given = call.args[TAGGING[name]]
            text = given.value if isinstance(given, ast.Constant) else ast.unparse(given)
            constant = SEPARATOR.fullmatch(str(text)) or re.search(r"(TAG|PURPOSE)$", str(text))
            passed_on = text in ("tag", "statement.tag")  # by what is in TAGGING itself
            assert constant or passed_on, f"{path}:{call.lineno} {name}({text})"


def test_whatever_hashes_without_a_tag_is_known() -> None:
    found = set()
    for path, tree in trees().items():
        nodes = list(ast.walk(tree))
        functions = [node.func for node in nodes if isinstance(node, ast.Call)]
        called = {each.id if isinstance(each, ast.Name) else getattr(each, "attr", "") for each in functions}
        imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
        if any(isinstance(node, ast.Import) and node.names[0].name == "hmac" for node in nodes):
            imported.add("digest")
        if called & HASHING & imported and not path.startswith(SHOWN):
            found.add(path)
    assert found == HASHED_DIRECTLY.keys(), "a row, or a reason, for each module that hashes or seals by itself"


@each_row
def test_a_row_names_the_separators_that_go_into_it(row: Row) -> None:
    SAID.clear()
    row.stated()
    assert set(row.tags) == SAID


def test_every_separator_is_on_the_page_of_one_of_its_rows() -> None:
    for row in ROWS:
        assert (ROOT / row.page).is_file(), f"{row.name}: {row.page}"
    for tag in TAGS:
        pages = {row.page for row in ROWS if tag in row.tags}
        assert any(tag.strip() in (ROOT / page).read_text() for page in pages), f"{tag}: not on {sorted(pages)}"
    pages_text = "".join(file.read_text() for file in (ROOT / "docs").rglob("*.md"))
    unknown = {found.rstrip("-") for found in SEPARATOR.findall(pages_text)} - TAGS - {"DTA-v1"}
    assert unknown == set(), "on a page, and in no row"


# --- it shares nothing with ours ------------------------------------------------------------------------------


def test_what_restates_imports_nothing_of_ours() -> None:
    modules = sorted(HERE.glob("*.py"))
    assert len(modules) > 5
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                beside = name.startswith("tests.vectors.statements")
                assert beside or name.split(".")[0] in MAY_IMPORT, f"{module.name} imports {name}"


def test_what_restates_loads_nothing_of_ours() -> None:
    program = "import sys, tests.vectors.statements.generate; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    loaded = done.stdout.split()
    assert "tests.vectors.statements.rows" in loaded
    assert [name for name in loaded if re.match(r"(abci_app|dta|google\.protobuf)\b", name)] == []
