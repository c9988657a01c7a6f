"""An authenticator and its browser in software, able to send every flag and field wrongly."""

import json
import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import CoseKey

from tests.support.second_factors import confirm_address

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
EDDSA, ES256, RS256 = -8, -7, -257
ORIGIN, RP_ID = "http://localhost:8000", "localhost"


def encode(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def generate(algorithm):
    if algorithm == EDDSA:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == ES256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


class SoftPasskey:
    """A passkey, and the browser that it is used in.

    Each call makes what ``toJSON()`` of a ``PublicKeyCredential`` returns. ``client`` replaces or,
    with ``None``, removes members of the client data. ``flags`` replaces the flags, ``rp_id`` the
    relying party, and ``members`` those of the credential and its response.
    """

    def __init__(self, algorithm=ES256, *, length=32, backup=True, origin=ORIGIN):
        self.algorithm, self.key, self.origin = algorithm, generate(algorithm), origin
        self.id, self.counter, self.handle = os.urandom(length), 0, b""
        self.state = UP | UV | (BE | BS if backup else 0)

    def create(self, options, *, flags=None, rp_id=RP_ID, key=None, rest=b"", **changes):
        """Answer creation options, with an attestation of none."""
        self.handle = decode(options["user"]["id"])
        raw = self._client_data("webauthn.create", options, changes.pop("client", {}))
        public = key or CoseKey.for_alg(self.algorithm).from_cryptography_key(self.key.public_key())
        credential_id = changes.pop("credential_id", self.id)
        attested = os.urandom(16) + struct.pack(">H", len(credential_id)) + credential_id
        data = self._data(AT | self.state if flags is None else flags, rp_id)
        data += attested + cbor.encode(dict(public)) + changes.pop("in_data", b"")
        statement = {"fmt": "none", "authData": changes.pop("auth_data", data), "attStmt": {}}
        response = {
            "clientDataJSON": encode(raw),
            "attestationObject": encode(cbor.encode(statement) + rest),
            "transports": ["internal", "hybrid"],
        }
        return self._credential(response, changes)

    def get(self, options, *, flags=None, rp_id=RP_ID, rest=b"", **changes):
        """Answer request options."""
        raw = self._client_data("webauthn.get", options, changes.pop("client", {}))
        data = self._data(self.state if flags is None else flags, rp_id) + rest
        response = {
            "clientDataJSON": encode(raw),
            "authenticatorData": encode(data),
            "signature": encode(self._sign(data + sha256(raw).digest())),
            "userHandle": encode(self.handle),
        }
        return self._credential(response, changes)

    def _client_data(self, kind, options, changes):
        members = {
            "type": kind,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": False,
            **changes,
        }
        return json.dumps({n: v for n, v in members.items() if v is not None}).encode()

    def _data(self, flags, rp_id):
        return sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.counter)

    def _sign(self, message):
        if self.algorithm == EDDSA:
            return self.key.sign(message)
        if self.algorithm == ES256:
            return self.key.sign(message, ec.ECDSA(SHA256()))
        return self.key.sign(message, padding.PKCS1v15(), SHA256())

    def _credential(self, response, changes):
        members = {
            "id": encode(self.id),
            "rawId": encode(self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response | changes.pop("response", {}),
        }
        return members | changes


def begin(caller, **proof):
    """Ask for the options of a new passkey."""
    body = proof or {"password": caller.password}
    answer = caller.call("POST", "/api/passkeys/options/", json=body)
    assert answer.status_code == 200, answer.json
    return answer.json


def add(caller, app, passkey=None, *, name=None, proof=None, **changes):
    """Add a passkey to an account, and return it with the response."""
    confirm_address(app, caller.email)
    passkey = passkey or SoftPasskey()
    ceremony = begin(caller, **({"proof": proof} if proof else {}))
    credential = passkey.create(ceremony["publicKey"], **changes)
    body = {"ticket": ceremony["ticket"], "credential": credential, "name": name}
    return passkey, caller.call("POST", "/api/passkeys/", json=body)


def challenge(client):
    """Ask for the options of a login."""
    answer = client.post("/api/login/passkey/options/")
    assert answer.status_code == 200
    return answer.json


def assertion(client, passkey, /, **changes):
    """Return a ticket and the signature of a passkey."""
    ceremony = challenge(client)
    credential = passkey.get(ceremony["publicKey"], **changes)
    return {"ticket": ceremony["ticket"], "credential": credential}


def log_in(caller, passkey, /, **changes):
    """Log in with a passkey. The caller keeps the tokens."""
    body = assertion(caller.client, passkey, **changes)
    return caller._signed_in(caller.client.post("/api/login/passkey/", json=body))
