"""Keys that are derived from ``SECRET_KEY``, one for each purpose."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive_key(secret: str, purpose: str) -> bytes:
    """Derive 32 bytes for a single purpose from a secret (HKDF, RFC 5869)."""
    info = f"pycoder {purpose}".encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret.encode())
