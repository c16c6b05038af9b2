"""What every keystore has to do, as functions over "open it once more": run them over a back end of your own.

Each ``check_*`` takes an :class:`Opener` (each call opens the same, at first empty, store anew) and raises
AssertionError. ``CHECKS`` lists them all. Back ends that ship pass them in tests/conformance/test_keystore.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from nacl.signing import VerifyKey

from dta.base.secret import SecretBytes
from dta.hsm.errors import AbsenceUnproved, KeyAmbiguous, KeyMissing, KeystoreClosed, KeystoreError, LabelInvalid
from dta.hsm.keystore import (
    LONGEST_MESSAGE_BYTES,
    LONGEST_PRF_INPUT_BYTES,
    PRF_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    Keystore,
)

Opener = Callable[[], Keystore]

_THREADS = 8
_MESSAGES = (b"", b"\0", b"a message", b"\xff" * LONGEST_PRF_INPUT_BYTES)


def check_a_signature_verifies_with_another_library(opener: Opener) -> None:
    with _opened(opener) as store:
        public_key = store.ensure_signing_key("node-key")
        assert len(public_key) == PUBLIC_KEY_BYTES
        for message in (*_MESSAGES, b"\xff" * LONGEST_MESSAGE_BYTES):
            signature = store.sign("node-key", message)
            assert len(signature) == SIGNATURE_BYTES
            VerifyKey(public_key).verify(message, signature)


def check_signing_is_deterministic(opener: Opener) -> None:
    with _opened(opener) as store:
        store.ensure_signing_key("node-key")
        assert store.sign("node-key", b"once") == store.sign("node-key", b"once")


def check_ensuring_a_signing_key_again_gives_the_same_key(opener: Opener) -> None:
    with _opened(opener) as store:
        assert store.signing_public_key("node-key") is None
        public_key = store.ensure_signing_key("node-key")
        assert store.ensure_signing_key("node-key") == public_key
        assert store.signing_public_key("node-key") == public_key
        assert store.labels() == ["node-key"]
        assert store.ensure_signing_key("operator-0") != public_key


def check_ensuring_a_prf_key_says_whether_it_was_made_now(opener: Opener) -> None:
    with _opened(opener) as store:
        assert not store.has_prf_key("root")
        assert store.ensure_prf_key("root")
        before = store.prf("root", b"x")
        assert not store.ensure_prf_key("root")
        assert store.has_prf_key("root")
        assert store.prf("root", b"x") == before


def check_keys_survive_reopening(opener: Opener) -> None:
    with _opened(opener) as store:
        public_key = store.ensure_signing_key("node-key")
        store.ensure_prf_key("root")
        outputs = [store.prf("root", message) for message in _MESSAGES]
    with _opened(opener) as store:
        assert store.labels() == ["node-key", "root"]
        assert store.signing_public_key("node-key") == public_key
        assert store.ensure_signing_key("node-key") == public_key
        VerifyKey(public_key).verify(b"m", store.sign("node-key", b"m"))
        assert not store.ensure_prf_key("root")
        assert [store.prf("root", message) for message in _MESSAGES] == outputs


def check_the_prf_differs_by_label_and_by_data(opener: Opener) -> None:
    with _opened(opener) as store:
        outputs: list[SecretBytes] = []
        for label in ("root", "vault-0", "vault-1"):
            store.ensure_prf_key(label)
            outputs.extend(store.prf(label, message) for message in _MESSAGES)
        assert all(len(output) == PRF_BYTES for output in outputs)
        assert all(first != second for place, first in enumerate(outputs) for second in outputs[:place])


def check_destroying_is_final(opener: Opener) -> None:
    with _opened(opener) as store:
        store.ensure_prf_key("vault-1")
        store.ensure_prf_key("vault-2")
        store.ensure_signing_key("operator-0")
        before = store.prf("vault-1", b"x")
        public_key = store.ensure_signing_key("operator-0")
        assert store.destroy("vault-1")
        assert store.destroy("operator-0")
        _check_gone(store)
    with _opened(opener) as store:
        _check_gone(store)
        assert store.labels() == ["vault-2"]
        assert store.ensure_prf_key("vault-1")
        assert store.prf("vault-1", b"x") != before
        assert store.ensure_signing_key("operator-0") != public_key


def _check_gone(store: Keystore) -> None:
    assert not store.destroy("vault-1")
    assert not store.destroy("operator-0")
    assert not store.has_prf_key("vault-1")
    assert store.signing_public_key("operator-0") is None
    with _raises(KeyMissing):
        store.prf("vault-1", b"x")
    with _raises(KeyMissing):
        store.sign("operator-0", b"x")


def check_absence_counts_only_beside_a_key_that_must_be_there(opener: Opener) -> None:
    with _opened(opener) as store, _opened(opener) as other:
        store.ensure_prf_key("root")
        store.rely_on("root")
        assert not store.has_prf_key("vault-1")
        assert store.ensure_prf_key("vault-1")
        assert other.destroy("root")
        before = store.prf("vault-1", b"x")  # what is there may be used
        attempts: tuple[Callable[[], object], ...] = (
            store.labels,
            lambda: store.has_prf_key("vault-2"),
            lambda: store.signing_public_key("node-key"),
            lambda: store.prf("vault-2", b"x"),
            lambda: store.sign("node-key", b"x"),
            lambda: store.destroy("vault-2"),
            lambda: store.ensure_prf_key("vault-2"),
            lambda: store.ensure_signing_key("node-key"),
            lambda: store.ensure_prf_key("root"),
        )
        for attempt in attempts:
            with _raises(AbsenceUnproved) as caught:
                attempt()
            assert caught[0].hint
        assert other.labels() == ["vault-1"]
        assert other.prf("vault-1", b"x") == before
        assert other.ensure_prf_key("root")
        assert not store.has_prf_key("vault-2")


def check_what_one_opener_changes_the_other_sees(opener: Opener) -> None:
    with _opened(opener) as first, _opened(opener) as second:
        assert first.ensure_prf_key("root")
        assert second.has_prf_key("root")
        assert not second.ensure_prf_key("root")
        assert first.prf("root", b"x") == second.prf("root", b"x")
        assert second.destroy("root")
        assert not first.has_prf_key("root")
        with _raises(KeyMissing):
            first.prf("root", b"x")


def check_closing_one_opener_leaves_the_other_working(opener: Opener) -> None:
    with _opened(opener) as first:
        first.ensure_prf_key("root")
        before = first.prf("root", b"x")
        with _opened(opener) as second:
            assert second.prf("root", b"x") == before
        assert first.prf("root", b"x") == before


def check_a_label_names_one_kind_of_key(opener: Opener) -> None:
    with _opened(opener) as store:
        store.ensure_signing_key("node-key")
        store.ensure_prf_key("root")
        attempts: tuple[Callable[[], object], ...] = (
            lambda: store.ensure_prf_key("node-key"),
            lambda: store.prf("node-key", b""),
            lambda: store.has_prf_key("node-key"),
            lambda: store.ensure_signing_key("root"),
            lambda: store.sign("root", b""),
            lambda: store.signing_public_key("root"),
        )
        for attempt in attempts:
            with _raises(KeyAmbiguous):
                attempt()


def check_a_missing_key_is_refused_with_a_hint(opener: Opener) -> None:
    with _opened(opener) as store:
        for attempt in (lambda: store.sign("node-key", b""), lambda: store.prf("root", b"")):
            with _raises(KeyMissing) as caught:
                attempt()
            assert caught[0].hint
            assert caught[0].label


def check_a_bad_label_is_refused(opener: Opener) -> None:
    with _opened(opener) as store:
        for label in ("", "Root", "a b", "a/b", "x" * 65, "k\u00e9y", "root\n"):
            attempts: tuple[Callable[[str], object], ...] = (
                store.ensure_signing_key,
                store.ensure_prf_key,
                store.signing_public_key,
                store.has_prf_key,
                store.destroy,
            )
            for attempt in attempts:
                with _raises(LabelInvalid):
                    attempt(label)
        assert store.ensure_prf_key("x" * 64)
        assert store.labels() == ["x" * 64]


def check_eight_threads_agree(opener: Opener) -> None:
    with _opened(opener) as store, ThreadPoolExecutor(_THREADS) as pool:

        def work(number: int) -> tuple[bytes, bool, SecretBytes]:
            public_key = store.ensure_signing_key("node-key")
            made = store.ensure_prf_key("root")
            own = f"vault-{number}"
            assert store.ensure_prf_key(own)
            for turn in range(10):
                message = bytes([number, turn])
                VerifyKey(public_key).verify(message, store.sign("node-key", message))
                assert store.prf(own, message) == store.prf(own, message)
            assert store.destroy(own)
            return public_key, made, store.prf("root", b"x")

        results = list(pool.map(work, range(_THREADS)))
        assert len({public_key for public_key, _, _ in results}) == 1
        assert sum(made for _, made, _ in results) == 1
        assert all(output == results[0][2] for _, _, output in results)
        assert store.labels() == ["node-key", "root"]


def check_a_closed_store_refuses(opener: Opener) -> None:
    store = opener()
    store.ensure_prf_key("root")
    store.close()
    store.close()
    for attempt in (lambda: store.prf("root", b""), store.labels, lambda: store.ensure_prf_key("root")):
        with _raises(KeystoreClosed):
            attempt()


def check_the_doctor_finds_nothing_wrong(opener: Opener) -> None:
    with _opened(opener) as store:
        names = {step.name: step for step in store.check()}
        assert names["keys"].status == "warning"  # neither is made yet
        assert names["keys"].advice
        store.ensure_signing_key("node-key")
        store.ensure_prf_key("root")
        steps = store.check()
        assert not [step for step in steps if step.status == "failure"]
        assert {"keys", "capacity", "limits", "signs", "PRF"} <= {step.name for step in steps}
        assert store.labels() == ["node-key", "root"]


CHECKS: tuple[Callable[[Opener], None], ...] = (
    check_a_signature_verifies_with_another_library,
    check_signing_is_deterministic,
    check_ensuring_a_signing_key_again_gives_the_same_key,
    check_ensuring_a_prf_key_says_whether_it_was_made_now,
    check_keys_survive_reopening,
    check_the_prf_differs_by_label_and_by_data,
    check_destroying_is_final,
    check_absence_counts_only_beside_a_key_that_must_be_there,
    check_what_one_opener_changes_the_other_sees,
    check_closing_one_opener_leaves_the_other_working,
    check_a_label_names_one_kind_of_key,
    check_a_missing_key_is_refused_with_a_hint,
    check_a_bad_label_is_refused,
    check_eight_threads_agree,
    check_a_closed_store_refuses,
    check_the_doctor_finds_nothing_wrong,
)


@contextmanager
def _opened(opener: Opener) -> Iterator[Keystore]:
    store = opener()
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _raises(kind: type[KeystoreError]) -> Iterator[list[KeystoreError]]:
    caught: list[KeystoreError] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    else:
        raise AssertionError(f"{kind.__name__} was not raised")
