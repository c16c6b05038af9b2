"""The points that the ledger computes for M-Pin: tied to all that they are of; Milagro's where the suite says so."""

from __future__ import annotations

from hashlib import sha256

import pytest

from abci_app.crypto.curve import G1, G2, ORDER
from abci_app.mfa import amcl, points
from abci_app.pb.dta.v1 import mfa_pb2 as pb
from tests.support.actors import seeded

GID, KEY, REALM, CLIENT = (seeded("mfa", name) for name in ("gid", "key", "realm", "client"))
RFC, AMCL = pb.MFA_SUITE_RFC9380, pb.MFA_SUITE_AMCL
DAY = 20_784

# MPINId, MS1 and CS1 of cases of Milagro's published BLS381 vectors: CS1 = MS1 * A, written 04 | x | y.
MILAGRO = [
    (
        "6664626234303565353831316531656536303266663132633533373464396263333832616665633235376536626464313334"
        "3938343335313539653865643036656365653162393163346561363634663530643830313238323464316232393438333636"
        "3137343634376339666661353165366563656262333431323365336538363730383363386130623236306634383066626563"
        "3834613962303736363931643238343730656461373535636438316130616236393736643966333637396363623434623139"
        "66356263643332373534336339303135316533373231636239346465",
        "000000000000000000000000000000004f666b3788793e7980b1d77025edf5bf86bcc29af70688c25a11b2fc12bda097",
        "04168aa81d34cb85b87293740527df5f680c89983f2934c8f41f0f7a67fa12c6018e863df0e49e078f16207e9396a86bda00"
        "195a0659eed5891cb1516cf09c6b48152ff2a5213c9de4bb16476ddffba6f7fcc7e58e823adf8d1dbab0f171468d94",
    ),
    (
        "3862393066383332383430316161616232333263313765646138663130653464366330336333636564633163373865393165"
        "6133353134376338656134333566666465336338346161353066353435663262313662316663316663363837666363303064"
        "6561653661326164663461663763396436646662373832386132363430336130313736666235613462356131663634323736"
        "33333939343230663131",
        "000000000000000000000000000000004f666b3788793e7980b1d77025edf5bf86bcc29af70688c25a11b2fc12bda097",
        "0408dbf5206c69d99fdea48f845b97ced584be64e1cde896ba35b12bf39b6dae30353760062c09c42ebf05d616f85edc760f"
        "b0041611d362ec90d42aa7c613ac55339a330cd4157dd76efa1d5cd56e69e38a09d6f8fa42b54b1981e70cebb199e8",
    ),
    (
        "6461303362316333303464343539643363306635336565366566633839663864633130323663383331366139373839646261"
        "6133646636313333366662353531363932666233656631663638336361613939346131616366343262633039323537636539"
        "3566313435376632393561626462323563336661663264303731626333343265316165643166336661613237653035633961"
        "343634306365636136343164",
        "000000000000000000000000000000004f666b3788793e7980b1d77025edf5bf86bcc29af70688c25a11b2fc12bda097",
        "0400626f50c5b059cdc42ef0e83c67f528e991bc88d532029c17f93b7223b52f9c98cac92d51b803133008e3b61e1e30830d"
        "30ac18029e88fb8df5b2d1d7be3eb722e38c7595d47c8c6dd1b0f528443aecb25df83b8250548b9dd72166490cae61",
    ),
]


@pytest.mark.parametrize(("identity", "scalar", "secret"), MILAGRO)
def test_the_amcl_hash_is_milagros(identity: str, scalar: str, secret: str) -> None:
    point = amcl.hash_to_g1(bytes.fromhex(identity)) * (int(scalar, 16) % ORDER)
    x, y = secret[2:98], secret[98:]
    larger = int(y, 16) > (amcl.FIELD - 1) // 2
    encoded = bytearray(bytes.fromhex(x))
    encoded[0] |= 0xA0 if larger else 0x80
    assert point.encode() == bytes(encoded)


def test_the_two_halves_of_the_cofactor_are_the_cofactor() -> None:
    assert amcl.INTO_SUBGROUP * amcl.REST_OF_COFACTOR == 0x396C8C005555E1568C00AAAB0000AAAB


def test_points_outside_the_subgroup_are_led_into_it() -> None:
    outside = 0
    for number in range(20):
        x, y = amcl.curve_point(sha256(b"%d" % number).digest())
        encoded = bytearray(x.to_bytes(48, "big"))
        encoded[0] |= 0xA0 if y > (amcl.FIELD - 1) // 2 else 0x80
        try:
            G1.decode(bytes(encoded))
        except ValueError:
            outside += 1
        point = amcl.hash_to_g1(b"%d" % number)
        assert (point * ORDER).is_identity
        assert G1.decode(point.encode()) == point
    assert outside == 20


@pytest.mark.parametrize("suite", [RFC, AMCL])
def test_a_client_point_changes_with_the_realm_and_the_client(suite: int) -> None:
    point = points.client_point(suite, GID, KEY, REALM, CLIENT)
    assert point == points.client_point(suite, GID, KEY, REALM, CLIENT)
    assert point != points.client_point(suite, GID, KEY, seeded("other"), CLIENT)
    assert point != points.client_point(suite, GID, KEY, REALM, seeded("other"))


def permit_of(fields: tuple[bytes, ...]) -> G1:
    gid, key, realm, client = fields
    return points.permit_point(RFC, gid, key, realm, client, DAY)


@pytest.mark.parametrize("position", range(4))
def test_every_field_enters_the_points_of_the_rfc9380_suite(position: int) -> None:
    fields = (GID, KEY, REALM, CLIENT)
    changed = tuple(seeded("other") if at == position else field for at, field in enumerate(fields))
    assert points.client_point(RFC, *fields) != points.client_point(RFC, *changed)
    assert points.server_point(RFC, *fields) != points.server_point(RFC, *changed)
    assert permit_of(fields) != permit_of(changed)


@pytest.mark.parametrize("suite", [RFC, AMCL])
def test_a_permit_is_of_one_client_and_one_day(suite: int) -> None:
    point = points.permit_point(suite, GID, KEY, REALM, CLIENT, DAY)
    assert point != points.permit_point(suite, GID, KEY, REALM, CLIENT, DAY + 1)
    assert point != points.permit_point(suite, GID, KEY, REALM, seeded("other"), DAY)
    assert point != points.client_point(suite, GID, KEY, REALM, CLIENT)


def test_servers_of_a_realm_have_points_of_their_own_but_under_amcl() -> None:
    one, two = seeded("server", 1), seeded("server", 2)
    assert points.server_point(RFC, GID, KEY, REALM, one) != points.server_point(RFC, GID, KEY, REALM, two)
    assert points.server_point(AMCL, GID, KEY, REALM, one) == G2.generator()


def test_a_permit_shaped_identity_can_not_be_made_whatever_the_client_chooses() -> None:
    """Attack: an identity of 36 bytes whose hash is a permit's input, so that its secret is somebody's permit."""
    permit = points.permit_identity(AMCL, GID, KEY, REALM, CLIENT, DAY)
    assert permit == DAY.to_bytes(4, "big") + sha256(points.client_identity(AMCL, GID, KEY, REALM, CLIENT)).digest()
    assert len(permit) == 36
    for client in (CLIENT, permit[:32], permit[4:], bytes(32), seeded("chosen")):
        identity = points.client_identity(AMCL, GID, KEY, REALM, client)
        assert len(identity) == 133
        assert identity.startswith(b"dta:")
    for wrong in (permit, b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            points.client_identity(AMCL, GID, KEY, REALM, wrong)
    # In the other suite the tags keep them apart: the same bytes are another point under another tag.
    same = points.client_identity(RFC, GID, KEY, REALM, CLIENT)
    assert points.hash_client(RFC, same) != points.hash_permit(RFC, same)


def test_a_client_hash_hides_the_name_behind_a_long_salt() -> None:
    salt = seeded("salt")[:16]
    hashed = points.client_hash(GID, REALM, salt, b"alice@example.org")
    assert hashed != points.client_hash(GID, REALM, seeded("salt", 2)[:16], b"alice@example.org")
    assert hashed != points.client_hash(GID, seeded("other"), salt, b"alice@example.org")
    with pytest.raises(ValueError, match="at least 16 bytes"):
        points.client_hash(GID, REALM, salt[:15], b"alice@example.org")


def test_an_unknown_suite_has_no_points() -> None:
    with pytest.raises(ValueError, match="unknown suite"):
        points.client_point(0, GID, KEY, REALM, CLIENT)


def test_days_are_whole_days_since_the_epoch() -> None:
    assert points.day_of(0) == 0
    assert points.day_of(86_399) == 0
    assert points.day_of(86_400) == 1
