"""TLS for a server that other machines reach: a self-signed certificate, and the file with which clients trust it.

A self-signed certificate is its own authority. Go (the client's service) and Python's ssl trust the file that
SSL_CERT_FILE names instead of the system's authorities; the requests library trusts the one that REQUESTS_CA_BUNDLE
names. So the file also holds the public authorities (Mozilla's, from certifi).
"""

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=365)


def own_pair(folder: Path, hosts: Sequence[str]) -> tuple[Path, Path]:
    """Return the certificate and the private key of a folder. Create both unless they are good for these hosts.

    Args:
        folder: where they are kept, the key for its owner alone.
        hosts: names and addresses under which the server is reached.
    """
    certificate, key = folder / "certificate.pem", folder / "private-key.pem"
    if not _is_good(certificate, key, hosts):
        private = ec.generate_private_key(ec.SECP256R1())
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _write(key, private.private_bytes(*form), 0o600)
        made = _self_signed(private, hosts).public_bytes(serialization.Encoding.PEM)
        _write(certificate, made, 0o644)
    return certificate, key


def trusted(folder: Path, certificate: Path) -> Path:
    """Write and return the file of the certificates that clients trust: the public authorities' and the server's."""
    file = folder / "trusted.pem"
    _write(file, Path(certifi.where()).read_bytes() + b"\n" + certificate.read_bytes(), 0o644)
    return file


def reachable_as(host: str) -> list[str]:
    """Return the names and addresses under which a server that listens on `host` is reached, the best one first."""
    names = [socket.gethostname(), socket.getfqdn(), "localhost", "127.0.0.1", "::1"]
    if host not in ("", "0.0.0.0", "::"):
        names.insert(0, host)
    return list(dict.fromkeys(names))


def check(certificate: Path, key: Path) -> None:
    """Raise OSError (ssl.SSLError is one) unless these are a certificate and its private key."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


def _is_good(certificate: Path, key: Path, hosts: Sequence[str]) -> bool:
    """Return whether the two belong together, and are valid now, for some time to come, and for these hosts."""
    try:
        check(certificate, key)
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    now = datetime.datetime.now(datetime.UTC)
    valid = found.not_valid_before_utc <= now < found.not_valid_after_utc - LIFETIME / 10
    return valid and set(_names(hosts)) <= set(names)


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _self_signed(private: ec.EllipticCurvePrivateKey, hosts: Sequence[str]) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mnist-sweep server")])
    now, public = datetime.datetime.now(datetime.UTC), private.public_key()
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    no = dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **no), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )


def _write(file: Path, content: bytes, mode: int) -> None:
    """Write a file in one step, never readable for more users than `mode` allows."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.touch(mode=mode)
    fresh.write_bytes(content)
    fresh.replace(file)
