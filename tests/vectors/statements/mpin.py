"""M-Pin: identities and points, logins, ids of what realms ask for, files: docs/spec/mfa.md."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from py_ecc.bls.point_compression import compress_G1, decompress_G1
from py_ecc.optimized_bls12_381 import FQ, field_modulus, multiply, normalize

from tests.vectors.statements.keys import derived
from tests.vectors.statements.rows import (
    ORDER,
    PointBytes,
    Refused,
    Rows,
    Stated,
    challenge,
    digest,
    g1,
    g2,
    hash_g1,
    hash_g2,
    hkdf,
    plain,
    said,
    scalar,
    some,
    tagged,
    u32,
    u64,
    wide,
)

MPIN = Rows("docs/spec/mfa.md")
GID, KEY, REALM, CLIENT, SERVER = some("gid"), some("authority"), some("realm"), some("client"), some("server")
SUITES = {1: "MPIN-BLS12381-RFC9380", 2: "MPIN-BLS12381-AMCL"}
AMCL = 2
CLIENT_TAG = "DTA-v1-MPIN-CLIENT_BLS12381G1_XMD:SHA-256_SSWU_RO_"
PERMIT_TAG = "DTA-v1-MPIN-PERMIT_BLS12381G1_XMD:SHA-256_SSWU_RO_"
SERVER_TAG = "DTA-v1-MPIN-SERVER_BLS12381G2_XMD:SHA-256_SSWU_RO_"


# --- ids ------------------------------------------------------------------------------------------------------


@MPIN.row("realm id", "DTA-v1-realm", gid=GID, authority=KEY)
def realm_id(gid: bytes, authority: bytes) -> Stated:
    return digest("DTA-v1-realm", gid, authority)


@MPIN.row("ticket", "DTA-v1-mfa-ticket", gid=GID, realm=REALM, client=CLIENT, nonce=some("nonce"))
def ticket(gid: bytes, realm: bytes, client: bytes, nonce: bytes) -> Stated:
    return digest("DTA-v1-mfa-ticket", gid, realm, client, nonce)


@MPIN.row("server's request", "DTA-v1-mfa-server-request", gid=GID, realm=REALM, server=SERVER, nonce=some("nonce"))
def server_request(gid: bytes, realm: bytes, server: bytes, nonce: bytes) -> Stated:
    return digest("DTA-v1-mfa-server-request", gid, realm, server, nonce)


@MPIN.row("batch of tickets", "DTA-v1-mfa-enrolments", gid=GID, realm=REALM, tickets=[some("1"), some("2")])
def batch_request(gid: bytes, realm: bytes, tickets: list[bytes]) -> Stated:
    return digest("DTA-v1-mfa-enrolments", gid, realm, *tickets)


@MPIN.row("batch of permits", "DTA-v1-mfa-permits", gid=GID, realm=REALM, day=20_000, tx_hash=some("tx"))
def permit_request(gid: bytes, realm: bytes, day: int, tx_hash: bytes) -> Stated:
    return digest("DTA-v1-mfa-permits", gid, realm, u32(day), tx_hash)


# --- identities and points ------------------------------------------------------------------------------------


@MPIN.row("client hash", "DTA-v1-mfa-client-hash", gid=GID, realm=REALM, salt=some("salt", 16), name=b"alice@example")
def client_hash(gid: bytes, realm: bytes, salt: bytes, name: bytes) -> Stated:
    if len(salt) < 16:
        raise Refused
    return digest("DTA-v1-mfa-client-hash", gid, realm, salt, name)


def checked(suite: int, *ids: bytes) -> str:
    if suite not in SUITES or any(len(each) != 32 for each in ids):
        raise Refused
    return SUITES[suite]


def client_identity(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes) -> bytes:
    name = checked(suite, gid, key, realm, client)
    if suite == AMCL:
        return b"dta:" + realm.hex().encode() + b":" + client.hex().encode()
    return tagged("DTA-v1-mfa-client", name.encode(), gid, key, realm, client)


def server_identity(suite: int, gid: bytes, key: bytes, realm: bytes, server: bytes) -> bytes:
    name = checked(suite, gid, key, realm, server)
    return tagged("DTA-v1-mfa-server", name.encode(), gid, key, realm, server)


def permit_identity(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes, day: int) -> bytes:
    name = checked(suite, gid, key, realm, client)
    if suite == AMCL:
        return u32(day) + sha256(client_identity(suite, gid, key, realm, client)).digest()
    return tagged("DTA-v1-mfa-permit", name.encode(), gid, key, realm, client, u32(day))


def hash_to_curve_amcl(message: bytes) -> PointBytes:
    """Milagro's: x from SHA-256, up to a square, the even root, times the cofactor."""
    x = int.from_bytes(sha256(message).digest(), "big") % field_modulus
    while pow((x**3 + 4) % field_modulus, (field_modulus - 1) // 2, field_modulus) not in (0, 1):
        x = (x + 1) % field_modulus
    y = pow((x**3 + 4) % field_modulus, (field_modulus + 1) // 4, field_modulus)
    y = y if y % 2 == 0 else field_modulus - y
    point = multiply((FQ(x), FQ(y), FQ(1)), 0x396C8C005555E1568C00AAAB0000AAAB)
    return PointBytes(int(compress_G1(point)).to_bytes(48, "big"))


def client_point(suite: int, identity: bytes) -> PointBytes:
    return hash_to_curve_amcl(identity) if suite == AMCL else hash_g1(identity, CLIENT_TAG)


_WHO = {"gid": GID, "key": KEY, "realm": REALM}
_AMCL_LEAVES_OUT = ("gid", "key")  # the realm's id is a hash of both

for _suite, _name in SUITES.items():
    _left_out = _AMCL_LEAVES_OUT if _suite == AMCL else ()
    _tag = () if _suite == AMCL else ("DTA-v1-mfa-client",)

    @MPIN.row(f"client identity, {_name}", *_tag, suite=_suite, **_WHO, client=CLIENT, ignored=_left_out)
    def of_client(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes) -> Stated:
        return plain(client_identity(suite, gid, key, realm, client))

    @MPIN.row(f"client point, {_name}", *(*_tag, *([CLIENT_TAG] if _tag else [])), suite=_suite, **_WHO, client=CLIENT,
              ignored=_left_out)  # fmt: skip
    def point_of_client(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes) -> Stated:
        identity = client_identity(suite, gid, key, realm, client)
        return Stated(identity, client_point(suite, identity), "hash to G1")

    _tag = () if _suite == AMCL else ("DTA-v1-mfa-permit",)

    @MPIN.row(f"permit identity, {_name}", *_tag, suite=_suite, **_WHO, client=CLIENT, day=20_000, ignored=_left_out)
    def of_permit(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes, day: int) -> Stated:
        return plain(permit_identity(suite, gid, key, realm, client, day))

    @MPIN.row(f"permit point, {_name}", *(*_tag, *([PERMIT_TAG] if _tag else [])), suite=_suite, **_WHO, client=CLIENT,
              day=20_000, ignored=_left_out)  # fmt: skip
    def point_of_permit(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes, day: int) -> Stated:
        identity = permit_identity(suite, gid, key, realm, client, day)
        point = hash_to_curve_amcl(identity) if suite == AMCL else hash_g1(identity, PERMIT_TAG)
        return Stated(identity, point, "hash to G1")

    @MPIN.row(f"server identity, {_name}", "DTA-v1-mfa-server", suite=_suite, **_WHO, server=SERVER)
    def of_server(suite: int, gid: bytes, key: bytes, realm: bytes, server: bytes) -> Stated:
        return plain(server_identity(suite, gid, key, realm, server))


@MPIN.row("server point", "DTA-v1-mfa-server", SERVER_TAG, suite=1, **_WHO, server=SERVER)
def point_of_server(suite: int, gid: bytes, key: bytes, realm: bytes, server: bytes) -> Stated:
    identity = server_identity(suite, gid, key, realm, server)
    return Stated(identity, g2() if suite == AMCL else hash_g2(identity, SERVER_TAG), "hash to G2")


# --- logins ---------------------------------------------------------------------------------------------------


def written(suite: int, point: bytes) -> bytes:
    """A point of G1 in the suite's encoding."""
    if suite != AMCL:
        return bytes(point)
    x, y = normalize(decompress_G1(int.from_bytes(point, "big")))
    return b"\x04" + int(x).to_bytes(48, "big") + int(y).to_bytes(48, "big")


def login_context(who: dict[str, Any]) -> tuple[bytes, ...]:
    """The six parts: gid, authority, realm, server identity, client identity, u32(day) or nothing."""
    suite, gid, key, realm = who["suite"], who["gid"], who["authority"], who["realm"]
    server = server_identity(suite, gid, key, realm, who["server"])
    client = client_identity(suite, gid, key, realm, who["client"])
    return gid, key, realm, server, client, b"" if who["day"] is None else u32(who["day"])


def _login(suite: int, day: int | None) -> dict[str, Any]:
    return {
        "suite": suite,
        "gid": GID,
        "authority": KEY,
        "realm": REALM,
        "client": CLIENT,
        "server": SERVER,
        "day": day,
    }


for _suite, _name in SUITES.items():
    for _day, _with in ((None, "no permit"), (20_000, "a permit")):

        @MPIN.row(f"y of one pass, {_name}, {_with}", "DTA-v1-mpin-one-pass", "DTA-v1-mfa-server",
                  *(() if _suite == AMCL else ("DTA-v1-mfa-client",)), who=_login(_suite, _day), time_s=1_800_000_000,
                  u=g1(91))  # fmt: skip
        def one_pass_y(who: dict[str, Any], time_s: int, u: bytes) -> Stated:
            context = login_context(who)
            name = SUITES[who["suite"]].encode()
            if who["suite"] != AMCL:
                return challenge("DTA-v1-mpin-one-pass", name, *context, u64(time_s), u)
            covered = u32(time_s) + written(AMCL, u) + tagged("DTA-v1-mpin-one-pass", name, *context)
            y = int.from_bytes(sha256(covered).digest(), "big") % ORDER
            return Stated(covered, scalar(y), "SHA-256 modulo r")

        @MPIN.row(f"h of the full protocol, {_name}, {_with}", "DTA-v1-mpin-agreement", "DTA-v1-mfa-server",
                  *(() if _suite == AMCL else ("DTA-v1-mfa-client",)), who=_login(_suite, _day), u=g1(91), v=g1(92),
                  y=93, r=g1(94), w=g1(95))  # fmt: skip
        def agreement_h(who: dict[str, Any], u: bytes, v: bytes, y: int, r: bytes, w: bytes) -> Stated:
            suite = who["suite"]
            context = login_context(who)
            of_y = y.to_bytes(48 if suite == AMCL else 32, "big")
            seen = (written(suite, u), written(suite, v), of_y, written(suite, r), written(suite, w))
            return challenge("DTA-v1-mpin-agreement", SUITES[suite].encode(), *context, *seen)


@MPIN.row("keys of the full protocol", "DTA-v1-mpin-keys", "DTA-v1-mpin-confirm-client", "DTA-v1-mpin-confirm-server",
          pairing=some("pairing", 576), shared=g1(96), h=scalar(97))  # fmt: skip
def session_keys(pairing: bytes, shared: bytes, h: bytes) -> Stated:
    reduced = scalar(int.from_bytes(h, "big"))
    material, info = tagged("DTA-v1-mpin-keys", pairing, shared), tagged("DTA-v1-mpin-keys", reduced)
    keys = hkdf(material, info, 128)
    client = hmac.digest(keys[64:96], said("DTA-v1-mpin-confirm-client"), "sha256")
    server = hmac.digest(keys[96:], said("DTA-v1-mpin-confirm-server"), "sha256")
    return Stated(material, keys[:64] + client + server, "HKDF-SHA256: session key, ticket; both confirmations")


@MPIN.row("one-pass login that was used", "DTA-v1-mpin-used", client=CLIENT, time_s=1_800_000_000, u=b"U", v=b"V")
def used_login(client: bytes, time_s: int, u: bytes, v: bytes) -> Stated:
    return digest("DTA-v1-mpin-used", client, u64(time_s), u, v)


# --- files ----------------------------------------------------------------------------------------------------


def sealed(root: bytes, context: bytes, content: bytes, nonce: bytes) -> Stated:
    """A nonce, then ChaCha20-Poly1305 under a key of the root, for the context, which is the associated data too."""
    if len(nonce) != 12:
        raise Refused
    key = derived(root, b"root", "mfa-sealed-file", context, 32)
    return Stated(context, nonce + ChaCha20Poly1305(key).encrypt(nonce, content, context), "ChaCha20-Poly1305")


_NONCE = some("nonce", 12)
_FILE_TAGS = ("mfa-sealed-file", "DTA-v1-derive-input", "DTA-v1-derive")


@MPIN.row("sealed credential", "DTA-v1-mfa-client-file", *_FILE_TAGS, root=some("root"), gid=GID, realm=REALM,
          name="alice", token=g1(98), salt=some("salt", 16), nonce=_NONCE)  # fmt: skip
def client_file(root: bytes, gid: bytes, realm: bytes, name: str, token: bytes, salt: bytes, nonce: bytes) -> Stated:
    return sealed(root, tagged("DTA-v1-mfa-client-file", gid, realm, name.encode()), token + salt, nonce)


@MPIN.row("sealed server secret", "DTA-v1-mfa-server-file", *_FILE_TAGS, root=some("root"), gid=GID, realm=REALM,
          server=SERVER, secret=g2(99), nonce=_NONCE)  # fmt: skip
def server_file(root: bytes, gid: bytes, realm: bytes, server: bytes, secret: bytes, nonce: bytes) -> Stated:
    return sealed(root, tagged("DTA-v1-mfa-server-file", gid, realm, server), secret, nonce)


@MPIN.row("sealed ticket", "DTA-v1-mfa-pending-file", *_FILE_TAGS, root=some("root"), gid=GID, realm=REALM,
          client=CLIENT, ticket_nonce=some("ticket nonce"), x=scalar(wide(some("x")) >> 8), nonce=_NONCE)  # fmt: skip
def pending_file(
    root: bytes, gid: bytes, realm: bytes, client: bytes, ticket_nonce: bytes, x: bytes, nonce: bytes
) -> Stated:
    reduced = scalar(int.from_bytes(x, "big"))
    return sealed(root, tagged("DTA-v1-mfa-pending-file", gid, realm, client, ticket_nonce), reduced, nonce)


@MPIN.row("transport key of a server's request", "mfa-server-transport", "DTA-v1-derive-input", "DTA-v1-derive",
          root=some("root"), gid=GID, request=some("request"))  # fmt: skip
def server_transport(root: bytes, gid: bytes, request: bytes) -> Stated:
    x = int.from_bytes(derived(root, b"root", "mfa-server-transport", gid + request, 48), "big")
    return Stated(gid + request, g2(x % ORDER), "T = x g2")
