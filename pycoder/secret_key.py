"""Keys derived from ``SECRET_KEY``, one for each purpose, and encryption by them."""

import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive_key(secret: str, purpose: str) -> bytes:
    """Derive 32 bytes for a single purpose from a secret (HKDF, RFC 5869)."""
    info = f"pycoder {purpose}".encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret.encode())


def encrypt(secret: str, purpose: str, plain: bytes, bound_to: bytes) -> bytes:
    """Encrypt bytes for storage (AES-GCM), bound to the row that they belong to."""
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(derive_key(secret, purpose)).encrypt(nonce, plain, bound_to)


def decrypt(secret: str, purpose: str, encrypted: bytes, bound_to: bytes) -> bytes:
    """Decrypt stored bytes. Raises ``InvalidTag`` of ``cryptography.exceptions``."""
    cipher = AESGCM(derive_key(secret, purpose))
    return cipher.decrypt(encrypted[:12], encrypted[12:], bound_to)
