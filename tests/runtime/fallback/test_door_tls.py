"""TLS between the door and its endpoint, with certificates made here."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from time import perf_counter

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from coldpress_runtime.errors import DoorError, DoorLateError
from coldpress_runtime.fallback.door import Door
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.tiny_endpoint import question, settings

ROWS = [[1.0, 2.0, 3.0]]


class Authority:
    """Signs certificates; ``file`` is its own."""

    def __init__(self, folder):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        own = self._certificate(self._name, self._key, [], 30, authority=True)
        self.file = folder / "authority.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def context(self, name, hosts, days=30):
        """Return a server's context with a certificate for ``hosts`` that ends in ``days``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._certificate(subject, key, hosts, days)
        file = self._folder / f"{name}.pem"
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(self, subject, key, hosts, days, *, authority=False):
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if authority:
            usage = dict.fromkeys(
                ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False,
            )  # fmt: skip
            builder = builder.add_extension(x509.KeyUsage(**usage | {"key_cert_sign": True}), critical=True)
        if hosts:
            names = [x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def ask(endpoint, authority):
    """Ask once behind a TLS server with this certificate, trusting the authority or not."""

    def ask_once(context, *, trusted=True, host="127.0.0.1", fault=None, seconds=15.0):
        environ = {"SSL_CERT_FILE": str(authority.file)} if trusted else {}
        with FaultProxy(endpoint.address, tls=context) as proxy:
            if fault is not None:
                proxy.always = fault
            door = Door(settings(f"https://{host}:{proxy.port}"), environ)
            try:
                return [door.ask(question(ROWS), perf_counter() + seconds).status for _ in range(3)], proxy.connections
            finally:
                door.close()

    return ask_once


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_authority_in_ssl_cert_file_is_trusted_and_connections_are_kept(ask, authority, host):
    assert ask(authority.context("good", ["127.0.0.1", "localhost"]), host=host) == ([200, 200, 200], 1)


@pytest.mark.parametrize(
    ("hosts", "days", "trusted", "said"),
    [
        (["127.0.0.1"], -1, True, "expired"),
        (["127.0.0.1"], 30, False, "issuer certificate|self.signed"),
        (["10.9.8.7"], 30, True, "mismatch"),
        (["other.example"], 30, True, "mismatch"),
    ],
    ids=["expired", "unknown-authority", "another-address", "another-name"],
)
def test_a_certificate_that_cannot_be_trusted_is_one_sentence(ask, authority, hosts, days, trusted, said):
    with pytest.raises(DoorError, match=said) as raised:
        ask(authority.context("bad", hosts, days), trusted=trusted)
    assert "SSL_CERT_FILE" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_slow_body_does_not_outlive_the_deadline_in_tls_either(ask, authority):
    start = perf_counter()
    with pytest.raises(DoorLateError):
        ask(authority.context("slow", ["127.0.0.1"]), fault=Fault("slow-body", seconds=0.5), seconds=0.6)
    assert perf_counter() - start < 10


def test_a_server_that_speaks_no_tls_is_one_sentence(proxy, authority):
    door = Door(settings(f"https://127.0.0.1:{proxy.port}"), {"SSL_CERT_FILE": str(authority.file)})
    with pytest.raises(DoorError, match="cannot be connected to"):
        door.ask(question(ROWS), perf_counter() + 30)
    door.close()


def test_a_file_without_certificates_is_told_apart(proxy, tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    door = Door(settings(f"https://127.0.0.1:{proxy.port}"), {"SSL_CERT_FILE": str(tmp_path / "empty.pem")})
    with pytest.raises(DoorError, match="SSL_CERT_FILE"):
        door.ask(question(ROWS), perf_counter() + 15)
    door.close()
