"""Certificates for doors of tests, by an authority of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates for these IP addresses. ``file``: its own, PEM."""

    def __init__(self, directory: Path, called: str, addresses: Sequence[str] = ("127.0.0.1",)) -> None:
        directory.mkdir(exist_ok=True)
        self._addresses = addresses
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(called)
        self.file = directory / f"{called}.pem"
        made = self._made(self._name, self._key, addresses, is_authority=True)
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _made(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, names: Sequence[str], *, is_authority: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        alternatives = x509.SubjectAlternativeName([_general(one) for one in names])
        return builder.add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256())

    def write(self, certificate: Path, key_file: Path, names: Sequence[str] = ()) -> None:
        """A new certificate and its key. ``names``: of hosts or addresses, in place of the authority's addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        key_file.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ))  # fmt: skip
        made = self._made(_name("a door"), key, names or self._addresses, is_authority=False)
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
