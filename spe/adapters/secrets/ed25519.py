"""Ed25519 as the domain wants it: raw keys and callables. The only place that names the algorithm's library.

The command line verifies receipts with it, the sealed store signs with it; it keeps no key.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from spe.domain.keys import Sign


def generate() -> bytes:
    """A fresh private key: 32 raw bytes."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_of(private: bytes) -> bytes:
    """The raw public key (32 bytes) of a raw private key."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def signer(private: bytes) -> Sign:
    """A callable that signs with the raw private key."""
    return Ed25519PrivateKey.from_private_bytes(private).sign


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is right; False for anything malformed as well."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
