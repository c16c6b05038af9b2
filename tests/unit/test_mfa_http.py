"""Logging in over real sockets on loopback: every mode, every malformed request, and what a client does not believe."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from abci_app.crypto.curve import G1, G2, ORDER
from dta.base.errors import BadAnswer, NotVerified, Unreachable, UsageError
from dta.client.mfa.login import MfaClient, redeem
from dta.login.http import MAX_BODY_BYTES, HttpConfig
from dta.mpin.logins import Mode
from dta.mpin.realm import ClientStatus
from dta.mpin.refusals import LoginRefused, Refusal
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import AMCL, RFC9380, Suite
from tests.support.mfa import DAY, NOW_S, SERVER, World, facts, pin
from tests.support.patience import PATIENCE_S

both_suites = pytest.mark.parametrize("suite", [RFC9380, AMCL], ids=lambda suite: suite.name)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with world.listening() as found:
        yield found


def client(url: str) -> MfaClient:
    return MfaClient(url, now_s=lambda: NOW_S)


def post(url: str, path: str, body: object) -> tuple[int, dict[str, Any]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.post(url + path, content=content, trust_env=False)
    return answer.status_code, answer.json()


def code(answer: tuple[int, dict[str, Any]]) -> str:
    return str(answer[1]["error"]["code"])


@both_suites
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("permits", [False, True], ids=["plain", "permits"])
def test_a_person_logs_in_and_a_service_learns_who(suite: Suite, mode: Mode, permits: bool, tmp_path: Path) -> None:
    world = World(tmp_path, facts(suite, permits_required=permits))
    alice = world.credential()
    permit = world.permit(alice) if permits else None
    with world.listening() as url:
        with client(url) as mfa:
            done = mfa.login(alice, SERVER, pin(), mode, permit)
        who = redeem(url, done.ticket)
        assert who["client"] == alice.client.hex()
        assert (who["mode"], who["day"], who["time"]) == (mode.value, DAY if permits else None, NOW_S)
        if mode is Mode.FULL:
            assert done.session_key is not None
            assert who["session_key"] == done.session_key.reveal().hex()
        else:
            assert done.session_key is who["session_key"] is None
        with pytest.raises(LoginRefused) as caught:
            redeem(url, done.ticket)
        assert caught.value.code is Refusal.UNKNOWN_TICKET
        assert "redacted" in repr(done)


@pytest.mark.parametrize("mode", list(Mode))
def test_twenty_wrong_pins_are_refused_over_http(mode: Mode, tmp_path: Path) -> None:
    world = World(tmp_path, facts(max_attempts=0))
    alice = world.credential()
    with world.listening() as url, client(url) as mfa:
        for number in range(20):
            with pytest.raises(LoginRefused) as caught:
                mfa.login(alice, SERVER, pin(f"{3000 + number}"), mode)
            assert caught.value.code is Refusal.NOT_AUTHENTICATED
        assert mfa.login(alice, SERVER, pin(), mode)


def test_a_lockout_reaches_the_person_with_how_long_it_takes(world: World, url: str) -> None:
    alice = world.credential()
    with client(url) as mfa:
        for _ in range(3):
            with pytest.raises(LoginRefused):
                mfa.login(alice, SERVER, pin("0000"), Mode.FULL)
        with pytest.raises(LoginRefused) as caught:
            mfa.login(alice, SERVER, pin(), Mode.FULL)
    assert caught.value.code is Refusal.LOCKED_OUT
    assert caught.value.retry_after_s == 600
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("permits", [False, True], ids=["plain", "permits"])
def test_a_revoked_client_is_refused_whatever_permit_it_has(mode: Mode, permits: bool, tmp_path: Path) -> None:
    world = World(tmp_path, facts(permits_required=permits))
    alice = world.credential()
    permit = world.permit(alice) if permits else None
    with world.listening() as url, client(url) as mfa:
        assert mfa.login(alice, SERVER, pin(), mode, permit).day == (DAY if permits else None)
        world.realm.clients[alice.client] = ClientStatus.REVOKED
        with pytest.raises(LoginRefused) as caught:
            mfa.login(alice, SERVER, pin(), mode, permit)
    assert caught.value.code is Refusal.REVOKED


@pytest.mark.parametrize("mode", list(Mode))
def test_a_client_without_a_permit_of_the_ledger_s_sends_nothing(mode: Mode, tmp_path: Path, liar: str) -> None:
    """Above all it asks nobody for one: of a false permit it makes an answer that tells a guess of the PIN."""
    world = World(tmp_path, facts(permits_required=True))
    alice, bob = world.credential(), world.credential("bob@example.org")
    made_up = {"client": alice.client.hex(), "day": DAY, "permit": (G1.generator() * 7).encode().hex()}
    Liar.answers = {f"/rps/timePermit/{alice.client.hex()}": (200, json.dumps(made_up).encode())}
    with client(liar) as mfa:
        for permit in (None, world.permit(bob)):
            with pytest.raises(UsageError):
                mfa.login(alice, SERVER, pin(), mode, permit)
    assert Liar.asked == []


def test_an_impostor_without_the_server_s_secret_is_found_out(world: World, url: str) -> None:
    """It relays pass 1 honestly and lets everybody in; the full protocol's client does not go on with it."""
    alice = world.credential()
    q = world.facts.parties(bytes(32), SERVER).q
    world.server._secret = SecretPoint(q * 5)
    world.server._authenticate = lambda *_: None  # type: ignore[method-assign]
    with client(url) as mfa:
        assert mfa.login(alice, SERVER, pin(), Mode.TWO_PASS)  # two-pass: the client cannot tell
        with pytest.raises(NotVerified) as caught:
            mfa.login(alice, SERVER, pin(), Mode.FULL)
    assert caught.value.step == "server"


def hello(world: World, **changes: object) -> dict[str, object]:
    alice = world.credential()
    plain = {
        "realm": alice.realm.hex(), "server": SERVER.hex(), "name": alice.name,
        "salt": alice.salt.reveal().hex(), "u": G1.generator().encode().hex(),
    }  # fmt: skip
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


BAD_HELLOS: list[dict[str, object]] = [
    {"u": None}, {"realm": None}, {"salt": None}, {"extra": 1}, {"u": 7}, {"u": "zz"}, {"u": ""}, {"u": "AB" * 48},
    {"u": "ab" * 98}, {"realm": "00" * 31}, {"salt": "00" * 15}, {"salt": "00" * 65}, {"name": ""}, {"name": "x" * 256},
    {"name": 5}, {"name": "\ud800"}, {"day": -1}, {"day": 1.5}, {"day": True}, {"day": "1"}, {"day": 1 << 40},
    {"r": "00"[:1]}, {"server": ["00"]}, {"u": " " + "ab" * 47},
]  # fmt: skip


@pytest.mark.parametrize("changes", BAD_HELLOS, ids=str)
def test_a_malformed_pass_1_is_refused(world: World, url: str, changes: dict[str, object]) -> None:
    status, answer = post(url, "/rps/pass1", hello(world, **changes))
    assert (status, answer["error"]["code"]) == (400, "MALFORMED")
    assert answer["error"]["hint"]


@pytest.mark.parametrize("path", ["/rps/pass1", "/rps/pass2", "/rps/confirm", "/rps/onepass", "/rps/authenticate"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 2_000, b"\xff", b'{"a":1,"a":2}', b"{}", b"NaN"])
def test_what_is_no_request_is_refused_everywhere(url: str, path: str, body: bytes) -> None:
    assert code(post(url, path, body)) == "MALFORMED"


def test_pass_2_takes_v_alone(world: World, url: str) -> None:
    """(!) With a U or an identity in pass 2, U = k*g1 - y*A and V = -k*(s*g1) would log in as anybody."""
    status, challenge = post(url, "/rps/pass1", hello(world))
    assert status == 200
    y = int(challenge["y"], 16)
    alice = world.credential()
    forged_u = (G1.generator() * 3 - alice.parties(SERVER).a * y).encode().hex()
    forged_v = (-(G1.decode(world.facts.public_key) * 3)).encode().hex()
    request = {"session": challenge["session"], "v": forged_v}
    for more in ({"u": forged_u}, {"name": "bob"}, {"realm": alice.realm.hex()}, {"salt": "00" * 16}, {"day": DAY}):
        assert code(post(url, "/rps/pass2", {**request, **more})) == "MALFORMED"
    assert code(post(url, "/rps/pass2", request)) == "NOT_AUTHENTICATED"
    assert code(post(url, "/rps/pass2", request)) == "UNKNOWN_SESSION"


def test_points_that_are_none_have_a_code_of_their_own(world: World, url: str) -> None:
    identity = "c0" + "00" * 47
    assert code(post(url, "/rps/pass1", hello(world, u=identity))) == "BAD_POINT"
    assert code(post(url, "/rps/pass1", hello(world, r=identity))) == "BAD_POINT"
    _, challenge = post(url, "/rps/pass1", hello(world))
    assert code(post(url, "/rps/pass2", {"session": challenge["session"], "v": "80" + "00" * 47})) == "BAD_POINT"


def test_a_one_pass_request_is_held_to_its_form(world: World, url: str) -> None:
    good = hello(world, time=NOW_S, v=G1.generator().encode().hex())
    assert code(post(url, "/rps/onepass", good)) == "NOT_AUTHENTICATED"
    for changes in ({"time": -1}, {"time": 1 << 33}, {"time": "now"}, {"time": 1.0}, {"y": "00"}, {"r": "ab" * 48}):
        assert code(post(url, "/rps/onepass", {**good, **changes})) == "MALFORMED"
    assert code(post(url, "/rps/onepass", {**good, "time": NOW_S - 301})) == "STALE_TIME"
    assert code(post(url, "/rps/onepass", {**good, "time": NOW_S + 31})) == "FUTURE_TIME"


def test_a_large_body_is_cut_off(url: str) -> None:
    assert code(post(url, "/rps/pass1", b" " * (MAX_BODY_BYTES + 1))) == "TOO_LARGE"

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000

    answer = httpx.post(url + "/rps/pass1", content=chunks(), trust_env=False)
    assert answer.json()["error"]["code"] == "TOO_LARGE"


def test_a_body_that_does_not_arrive_holds_nothing_up(world: World) -> None:
    with world.listening(HttpConfig(port=0, body_s=0.2)) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as slow:
            slow.sendall(b"POST /rps/pass1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            answer = slow.recv(4096)
        assert b"408" in answer
        assert b"TOO_SLOW" in answer
        with client(url) as mfa:
            assert mfa.login(world.credential(), SERVER, pin(), Mode.FULL)


def test_an_address_has_a_rate(world: World) -> None:
    with world.listening(HttpConfig(port=0, requests_per_minute=3)) as url:
        answers = [httpx.get(url + "/rps/status", trust_env=False) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[3].json()["error"]["code"] == "TOO_MANY_REQUESTS"
        assert 0 < int(answers[3].headers["Retry-After"]) <= 21
        world.clock.move(21)
        assert httpx.get(url + "/rps/status", trust_env=False).status_code == 200


def test_other_paths_and_methods_are_refused(url: str) -> None:
    for method, path, status in (
        ("GET", "/", 404), ("GET", "/rps/pass1", 405), ("PUT", "/rps/pass2", 405), ("POST", "/rps/status", 405),
        ("POST", "/rps/timePermit/" + "00" * 32, 405), ("GET", "/rps/pass1/", 404),
    ):  # fmt: skip
        answer = httpx.request(method, url + path, trust_env=False)
        assert answer.status_code == status, path
        assert answer.json()["error"]["code"] in ("NOT_FOUND", "METHOD")


def test_permits_are_public_and_asked_for_by_hash_and_day(world: World, url: str) -> None:
    alice = world.credential()
    permit = world.issue_permit(alice)
    world.issue_permit(alice, DAY + 1)
    path = f"{url}/rps/timePermit/{alice.client.hex()}"
    assert httpx.get(path, trust_env=False).json() == {
        "client": alice.client.hex(), "day": DAY, "permit": permit.encode().hex(),
    }  # fmt: skip
    assert httpx.get(path, params={"day": DAY + 1}, trust_env=False).json()["day"] == DAY + 1
    assert httpx.get(path, params={"day": DAY - 1}, trust_env=False).json()["error"]["code"] == "NO_PERMIT"
    for query in ("day=x", "day=-1", "day=1e3", "day=" + "9" * 40, "date=3", "day=%D9%A1"):
        assert httpx.get(f"{path}?{query}", trust_env=False).json()["error"]["code"] == "MALFORMED", query
    for wrong in ("", "zz", "00" * 31, alice.client.hex().upper()):
        answer = httpx.get(f"{url}/rps/timePermit/{wrong}", trust_env=False).json()
        assert answer["error"]["code"] == "MALFORMED", wrong


def test_the_status_says_what_a_client_needs_and_no_secret(world: World, url: str) -> None:
    with client(url) as mfa:
        status = mfa.status()
    assert status["realm"] == world.facts.realm.hex()
    assert status["server"] == SERVER.hex()
    assert (status["suite"], status["day"], status["time"]) == ("MPIN-BLS12381-RFC9380", DAY, NOW_S)
    assert set(status) == {
        "realm", "server", "suite", "permits_required", "one_pass_max_age_s", "time", "day", "logins", "tickets",
    }  # fmt: skip


def test_a_fault_of_the_server_says_nothing_about_the_request(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alice = world.credential()
    salt = alice.salt.reveal().hex()

    def breaks(*_: object) -> None:
        raise RuntimeError(salt)

    monkeypatch.setattr(world.server, "pass1", breaks)
    status, answer = post(url, "/rps/pass1", hello(world))
    assert (status, answer["error"]["code"]) == (500, "INTERNAL")
    assert salt not in json.dumps(answer)
    assert salt not in caplog.text
    assert "RuntimeError" in caplog.text


def certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 by itself, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, both = directory / "ca.pem", directory / "both.pem"
    pem.write_bytes(made.public_bytes(Encoding.PEM))
    both.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return pem, context


def test_with_tls_a_client_speaks_to_a_certified_server_alone(world: World, tmp_path: Path) -> None:
    ca, context = certificate(tmp_path)
    alice = world.credential()
    with world.listening(HttpConfig(port=0, tls=context)) as url:
        with MfaClient(url, ca) as mfa:
            done = mfa.login(alice, SERVER, pin(), Mode.TWO_PASS)
        assert redeem(url, done.ticket, ca)["client"] == alice.client.hex()
        with MfaClient(url) as mfa, pytest.raises(Unreachable):
            mfa.login(alice, SERVER, pin(), Mode.TWO_PASS)
        with pytest.raises(UsageError):
            MfaClient(url, tmp_path / "missing")


class Liar(BaseHTTPRequestHandler):
    """Answers everything with what the test says."""

    answers: dict[str, tuple[int, bytes]]
    asked: list[str]

    def _speak(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, content = self.answers.get(self.path, (404, b"?"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _speak

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[str]:
    Liar.asked = []
    server = HTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


SESSION = "00" * 32
LIES: list[object] = [
    "no object", {}, {"session": SESSION}, {"session": SESSION, "y": "00" * 32}, {"session": SESSION, "y": "01"},
    {"session": SESSION, "y": f"{ORDER:064x}"}, {"session": "zz", "y": f"{1:064x}"}, {"session": SESSION, "y": 1},
    {"session": SESSION, "y": f"{1:064x}"}, {"session": SESSION, "y": f"{1:064x}", "w": "c0" + "00" * 47},
    {"session": SESSION, "y": f"{1:064x}", "w": G2.generator().encode().hex()},
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_a_client_goes_on_with_no_challenge_that_a_server_would_not_send(world: World, liar: str, lie: object) -> None:
    Liar.answers = {"/rps/pass1": (200, json.dumps(lie).encode())}
    with client(liar) as mfa, pytest.raises(BadAnswer):
        mfa.login(world.credential(), SERVER, pin(), Mode.FULL)


@pytest.mark.parametrize(
    "answer",
    [(500, b"oops"), (401, b'{"error": {"code": "MADE_UP"}}'), (200, b" " * 9_000), (302, b"{}"), (403, b"[]")],
)
def test_an_answer_of_another_form_is_no_refusal(world: World, liar: str, answer: tuple[int, bytes]) -> None:
    Liar.answers = {"/rps/pass1": answer}
    with client(liar) as mfa, pytest.raises(BadAnswer):
        mfa.login(world.credential(), SERVER, pin(), Mode.TWO_PASS)


def test_a_server_that_is_not_there_is_unreachable(world: World) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with client(url) as mfa, pytest.raises(Unreachable):
        mfa.login(world.credential(), SERVER, pin(), Mode.FULL)
    with pytest.raises(UsageError):
        MfaClient("ftp://x")
