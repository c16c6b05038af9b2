"""Who may call the agent: tokens, issuers' JWTs, certificates that a proxy passes on."""

from __future__ import annotations

import asyncio
import errno
import json
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from dta.base import place
from dta.base.errors import NotFound, UsageError
from dta.base.place import PlaceFailure
from dta.service import oidc, tokens
from dta.service.access import Caller, Credential, Doorkeeper, chosen
from dta.service.certificates import MAX_CHARS, ProxiedCertificates
from dta.service.errors import Forbidden, Unauthenticated
from dta.service.oidc import LEEWAY_S, MAX_LIFETIME_S, MAX_TOKEN_CHARS, REFETCH_S, Issuers
from dta.service.settings import Certificate, Issuer
from dta.service.tokens import _MAX_BYTES, _MAX_IDENTITIES, Token, TokenStore, Unreadable
from tests.support.dripping import dripping, http_answer
from tests.support.patience import PATIENCE_S

NOW_S = 1_800_000_000
HOME = {"alice": bytes(32), "bob": bytes([1]) * 32}


def make(store: TokenStore, **changes: Any) -> tuple[Token, str]:
    given: dict[str, Any] = {
        "name": "app", "scopes": frozenset({"read"}), "identities": ("alice",), "now_s": NOW_S, "expires_at_s": 0,
    }  # fmt: skip
    return store.create(**{**given, **changes})


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "tokens")


# --- tokens ---------------------------------------------------------------------------------------------------
def test_a_token_is_256_bits_shown_once_and_kept_as_its_hash(store: TokenStore, tmp_path: Path) -> None:
    token, shown = make(store)
    assert shown.startswith("dta_")
    assert len(shown) == 4 + 43
    assert store.find(shown, NOW_S) == token
    kept = b"".join(path.read_bytes() + path.name.encode() for path in (tmp_path / "tokens").iterdir())
    assert shown.encode() not in kept
    assert token.digest == sha256(shown.encode()).digest()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "tokens").iterdir()} == {0o600}
    assert make(store)[1] != shown


@pytest.mark.parametrize(
    "change",
    [
        lambda shown: shown[:-1] + ("A" if shown[-1] != "A" else "B"),
        lambda shown: shown[:-1],
        lambda shown: shown + "A",
        lambda shown: "dtx_" + shown[4:],
        lambda shown: "dta_" + "../" * 14 + "A",
        lambda shown: "dta_" + "é" * 43,
        lambda shown: "",
    ],
)
def test_a_token_that_was_tampered_with_is_nobodys(store: TokenStore, change: Any) -> None:
    _, shown = make(store)
    assert store.find(change(shown), NOW_S) is None


def test_a_token_is_over_at_its_second_and_a_revoked_one_at_once(store: TokenStore) -> None:
    token, shown = make(store, expires_at_s=NOW_S + 10)
    assert store.find(shown, NOW_S + 9) is not None
    assert store.find(shown, NOW_S + 10) is None
    store.revoke(token.id)
    assert store.find(shown, NOW_S) is None
    assert store.all() == []
    with pytest.raises(NotFound):
        store.revoke(token.id)


@pytest.mark.parametrize("changes", [{"scopes": frozenset()}, {"scopes": frozenset({"root"})}, {"identities": ()}])
def test_a_token_that_allows_nothing_is_not_made(store: TokenStore, changes: Any) -> None:
    with pytest.raises(UsageError):
        make(store, **changes)


@pytest.mark.parametrize(
    ("most", "beyond"),
    [
        ({"name": "a" * 200}, {"name": "a" * 201}),
        ({"identities": tuple(map(str, range(_MAX_IDENTITIES)))}, {"identities": tuple(map(str, range(65)))}),
        ({"identities": ("a" * 200,)}, {"identities": ("a" * 201,)}),
        ({"identities": ("é" * 50,) * 52}, {"identities": ("é" * 50,) * 54}),  # six bytes each
        ({"expires_at_s": 1 << 53}, {"expires_at_s": (1 << 53) + 1}),
    ],
    ids=["name", "identities", "an identity", "bytes", "time"],
)
def test_a_token_that_could_not_be_read_again_is_not_made(store: TokenStore, most: Any, beyond: Any) -> None:
    """(!) Its file would end every list of tokens, and who revokes another begins with one."""
    token, shown = make(store, **most)
    with pytest.raises(UsageError):
        make(store, **beyond)
    assert store.all() == [token]
    assert store.find(shown, NOW_S) == token
    assert all(path.stat().st_size <= _MAX_BYTES for path in store._directory.iterdir())


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "of an older program": lambda content: content.replace(b'"app"', b'"' + b"n" * 201 + b'"'),
    "of a newer program": lambda content: content.replace(b'"dta-serve-token-1"', b'"dta-serve-token-2"'),
    "too long": lambda content: content + b" " * _MAX_BYTES,
    "no text": lambda _: bytes(range(128, 256)),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_token_s_file_that_can_not_be_read_is_nobody_s_and_keeps_no_other_from_being_listed_or_revoked(
    store: TokenStore, damage: str
) -> None:
    """(!) One of them ended every list, and every revocation: also of a token that was stolen."""
    broken, shown = make(store)
    other, stolen = make(store)
    path = store._path(broken.digest)
    path.write_bytes(DAMAGED[damage](path.read_bytes()))
    (path.parent / "no-token.json").write_text("{}")
    assert store.find(shown, NOW_S) is None
    assert store.find(stolen, NOW_S) == other
    assert [(type(one), one.id) for one in store.all()] == [
        (Token, other.id), *sorted([(Unreadable, broken.id), (Unreadable, "no-token")], key=lambda one: one[1])
    ]  # fmt: skip
    assert store.revoke(other.id) == other
    assert store.find(stolen, NOW_S) is None
    for id_ in (broken.id, "no-token"):
        assert isinstance(store.revoke(id_), Unreadable)
    assert store.all() == []
    assert list(path.parent.iterdir()) == []


def test_a_disk_that_fails_makes_nobody_of_no_one(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _, shown = make(store)

    def fails(*_: object) -> bytes:
        raise place.failure(OSError(errno.EIO, "input/output error"))

    monkeypatch.setattr(tokens, "read_file", fails)
    with pytest.raises(PlaceFailure):
        store.find(shown, NOW_S)


# --- as whom --------------------------------------------------------------------------------------------------
def test_a_call_is_as_the_only_identity_of_its_credential_or_the_one_it_names() -> None:
    one = Credential("token", frozenset({"read"}), ("alice",))
    every = Credential("token", frozenset({"read"}), ("*",))
    assert chosen(one, None, HOME) == "alice"
    assert chosen(every, "bob", HOME) == "bob"
    assert chosen(every, (bytes([1]) * 32).hex(), HOME) == "bob"
    with pytest.raises(UsageError):
        chosen(every, None, HOME)
    for wanted in ("bob", "carol", (bytes([1]) * 32).hex()):
        with pytest.raises(Forbidden):
            chosen(one, wanted, HOME)


def test_a_scope_is_had_by_name_and_no_scope_stands_for_another() -> None:
    for held in ("admin", "order:write", "secret:read"):
        caller = Caller(Credential("token", frozenset({held}), ("*",)), "alice")
        caller.require(held)  # type: ignore[arg-type]
        with pytest.raises(Forbidden) as refused:
            caller.require("read")
        assert refused.value.data == {"scope": "read"}


# --- issuers --------------------------------------------------------------------------------------------------
ISSUER = "https://login.example"
KEY = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
OTHER = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
CLAIMS = {"iss": ISSUER, "aud": "dta", "sub": "robot", "exp": NOW_S + 300, "iat": NOW_S}


ISSUED = Issuer.model_validate({
    "issuer": ISSUER, "audience": "dta", "jwks": f"{ISSUER}/keys", "algorithms": ["ES256"],
    "subjects": [{"subject": "robot", "identities": ["alice"], "scopes": ["read", "order:write"]}],
})  # fmt: skip


class Keys:
    """An issuer's keys, and how often they were asked for."""

    def __init__(self, *keys: Any) -> None:
        self.keys = keys
        self.asked = 0
        self.now_s = 0.0
        self.down = False

    def fetch(self, url: str) -> bytes:
        assert url == f"{ISSUER}/keys"
        self.asked += 1
        if self.down:
            raise httpx.ConnectError("refused")
        return json.dumps(KeySet(list(self.keys)).as_dict(private=False)).encode()

    def issuers(self) -> Issuers:
        return Issuers([ISSUED], self.fetch, lambda: self.now_s)


def shown(issuers: Issuers, token: str) -> Credential | None:
    return asyncio.run(issuers.credential(token, NOW_S))


def signed(key: Any = KEY, head: dict[str, Any] | None = None, **claims: Any) -> str:
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode({"alg": "ES256", "kid": "one", **(head or {})}, said, key)


def test_an_issuers_token_is_what_serve_toml_says_of_its_subject() -> None:
    found = shown(Keys(KEY).issuers(), signed())
    assert found == Credential(f"{ISSUER} robot", frozenset({"read", "order:write"}), ("alice",))


def unsecured(**claims: Any) -> str:
    parts = [{"alg": "none", "kid": "one"}, {**CLAIMS, **claims}]
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, ""])


def by_public_key_as_a_secret() -> str:
    secret = OctKey.import_key(json.dumps(KEY.as_dict(private=False)).encode(), {"kid": "one"})
    return jwt.encode({"alg": "HS256", "kid": "one"}, CLAIMS, secret)


@pytest.mark.parametrize(
    "token",
    [
        unsecured(),
        by_public_key_as_a_secret(),
        signed(OTHER),
        signed(iss="https://evil.example"),
        signed(iss=None),
        signed(aud="another"),
        signed(aud=None),
        signed(sub="another"),
        signed(sub=None),
        signed(exp=NOW_S - LEEWAY_S),
        signed(exp=None),
        signed(exp=NOW_S + MAX_LIFETIME_S + 1),
        signed(nbf=NOW_S + LEEWAY_S + 1),
        signed()[:-3] + "AAA",
        "a.b.c",
        "..",
        "x" * 9_000,
    ],
    ids=lambda token: str(token)[:12],
)
def test_a_token_that_an_issuer_would_not_have_given_for_us_is_nobodys(token: str) -> None:
    assert shown(Keys(KEY).issuers(), token) is None


def test_a_token_is_good_with_all_the_leeway_and_life_that_it_may_have() -> None:
    most: list[dict[str, Any]] = [
        {"exp": NOW_S - LEEWAY_S + 1}, {"nbf": NOW_S + LEEWAY_S}, {"exp": NOW_S + MAX_LIFETIME_S}
    ]  # fmt: skip
    for claims in most:
        assert shown(Keys(KEY).issuers(), signed(**claims)), claims


def test_a_token_is_read_up_to_its_length_and_a_longer_one_is_nobody_s() -> None:
    issuers, found = Keys(KEY).issuers(), {}
    for pad in range(MAX_TOKEN_CHARS * 3 // 4 - 400, MAX_TOKEN_CHARS * 3 // 4):
        token = signed(pad="x" * pad)
        found[len(token)] = shown(issuers, token) is not None
    assert {length for length, is_good in found.items() if is_good} == {one for one in found if one <= MAX_TOKEN_CHARS}
    assert {True, False} == set(found.values())
    assert MAX_TOKEN_CHARS in found or MAX_TOKEN_CHARS - 1 in found, "at the bound"


@pytest.mark.parametrize("over", [0, 1])
def test_an_issuer_s_keys_are_read_up_to_their_length(over: int) -> None:
    answer, _ = http_answer(b" " * (oidc.MAX_KEYS_BYTES + over))
    with dripping(answer, len(answer)) as url:
        if over:
            with pytest.raises(httpx.DecodingError, match="too large"):
                oidc.fetch(url)
        else:
            assert len(oidc.fetch(url)) == oidc.MAX_KEYS_BYTES


def test_an_issuer_that_drips_its_keys_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "FETCH_S", 0.3)
    answer, head_bytes = http_answer(b" " * 300)
    with dripping(answer, head_bytes) as url, pytest.raises(httpx.TimeoutException):
        oidc.fetch(url)


def test_keys_are_fetched_for_a_name_that_is_not_known_and_once_a_minute_at_most() -> None:
    keys = Keys(KEY)
    issuers = keys.issuers()
    for _ in range(3):
        assert shown(issuers, signed())
    assert keys.asked == 1
    new = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
    keys.keys = (KEY, new)
    rotated = signed(new, {"kid": "two"})
    assert shown(issuers, rotated) is None
    keys.now_s = REFETCH_S
    assert shown(issuers, rotated)
    for number in range(20):
        assert shown(issuers, signed(OTHER, {"kid": f"unknown-{number}"})) is None
    assert keys.asked == 2


def test_an_issuer_that_is_down_lets_nobody_in_and_those_whose_keys_are_known_still() -> None:
    keys = Keys(KEY)
    keys.down = True
    issuers = keys.issuers()
    assert shown(issuers, signed()) is None
    keys.down, keys.now_s = False, REFETCH_S
    assert shown(issuers, signed())
    keys.down = True
    assert shown(issuers, signed())


def test_an_issuer_that_hangs_holds_up_nobody_whose_key_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "WAIT_S", 600.0)
    keys, going_on, fetched = Keys(KEY), threading.Event(), []

    def hangs(url: str) -> bytes:
        fetched.append(url)
        assert len(fetched) == 1 or going_on.wait(PATIENCE_S)
        return keys.fetch(url)

    issuers = Issuers([ISSUED], hangs, lambda: keys.now_s)
    store = TokenStore(tmp_path)
    door, (_, token) = Doorkeeper(store, issuers), make(store)

    async def main() -> None:
        assert await issuers.credential(signed(), NOW_S)
        keys.now_s = REFETCH_S
        unknown = [signed(OTHER, {"kid": f"unknown-{number}"}) for number in range(40)]
        waiting = [asyncio.ensure_future(issuers.credential(one, NOW_S)) for one in unknown]
        async with asyncio.timeout(30):
            while len(fetched) < 2:
                await asyncio.sleep(0.01)
            assert await door.credential(token, {}, "", NOW_S)
            assert await door.credential(signed(), {}, "", NOW_S)
            assert not any(one.done() for one in waiting)
            monkeypatch.setattr(oidc, "WAIT_S", 0.05)
            assert await issuers.credential(unknown[0], NOW_S) is None, "it hangs, and is not waited for for ever"
            going_on.set()
            assert set(await asyncio.gather(*waiting)) == {None}
        assert len(fetched) == 2

    try:
        asyncio.run(main())
    finally:
        going_on.set()
        issuers.close()


# --- certificates ---------------------------------------------------------------------------------------------
DER = b"a certificate"


def certificates() -> ProxiedCertificates:
    known = Certificate.model_validate(
        {"sha256": sha256(DER).hexdigest(), "identities": ["alice"], "scopes": ["read"]}
    )
    return ProxiedCertificates([known], frozenset({"127.0.0.1"}))


def passed_on(content: bytes) -> dict[str, str]:
    return {"Client-Cert": f":{b64encode(content).decode()}:"}


def test_a_certificate_counts_where_a_named_proxy_passes_it_on() -> None:
    found = certificates().credential(passed_on(DER), "127.0.0.1")
    assert found is not None
    assert found.identities == ("alice",)
    assert certificates().credential(passed_on(DER), "127.0.0.2") is None
    assert certificates().credential(passed_on(DER), "") is None
    assert certificates().credential(passed_on(b"another"), "127.0.0.1") is None
    for text in ("", ":", "::", b64encode(DER).decode(), ":not base64:"):
        assert certificates().credential({"Client-Cert": text}, "127.0.0.1") is None


def test_a_certificate_is_read_up_to_its_length() -> None:
    whole = MAX_CHARS // 4 * 3 - 3  # between its colons
    for size, is_read in ((whole, True), (whole + 3, False)):
        content = bytes(size)
        known = Certificate.model_validate(
            {"sha256": sha256(content).hexdigest(), "identities": ["alice"], "scopes": ["read"]}
        )
        found = ProxiedCertificates([known], frozenset({"127.0.0.1"})).credential(passed_on(content), "127.0.0.1")
        assert (found is not None) == is_read
        assert (len(passed_on(content)["Client-Cert"]) <= MAX_CHARS) == is_read


def test_a_credential_that_is_shown_is_the_one_that_counts(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    door = Doorkeeper(store, Keys(KEY).issuers(), certificates())
    _, shown = make(store)
    assert asyncio.run(door.credential(shown, passed_on(DER), "127.0.0.1", NOW_S)).id.startswith("token ")
    assert asyncio.run(door.credential(signed(), {}, "", NOW_S)).id == f"{ISSUER} robot"
    assert asyncio.run(door.credential(None, passed_on(DER), "127.0.0.1", NOW_S)).id.startswith("certificate ")
    for bearer in ("dta_" + "A" * 43, "nonsense", ""):
        with pytest.raises(Unauthenticated):
            asyncio.run(door.credential(bearer, passed_on(DER), "127.0.0.1", NOW_S))
