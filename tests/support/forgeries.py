"""Tokens signed by hand, and the forgeries that no key ring verifies.

All of them carry claims that are valid at ``NOW``. Most are signed with the very key of the server.
"""

import hmac
import itertools
import json
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pycoder.keys.key import Key, derive_refresh_key, generate_key, name_key
from pycoder.secret_key import derive_key
from tests.support.constants import SECRET_KEY
from tests.support.tokens import b64, raw, read, unb64


def secret_key(secret):
    return name_key("HS256", derive_key(secret, "a test"))


KEY = secret_key(SECRET_KEY)
NOW = 1_800_000_000
HEADER = {"alg": "HS256", "typ": "at+jwt", "kid": KEY.kid}
CLAIMS = {
    "token_type": "access",
    "exp": NOW + 600,
    "iat": NOW,
    "jti": "Vt3lTzWbqJ0nXl6mYk1RzA",
    "user_id": 1,
    "sub": "1",
    "sid": "6f1e2f5c-4c0f-4d0e-9d5b-0a4f7a3b2c1d",
    "iss": "http://localhost:8000",
    "aud": "pycoder",
    "client_id": "pycoder",
    "auth_time": NOW - 60,
    "amr": ["pwd"],
    "acr": "aal1",
    "roles": [],
}
REFRESH_KEY = derive_refresh_key(KEY)
REFRESH_HEADER = {"alg": "HS256", "typ": "rt+jwt", "kid": REFRESH_KEY.kid}
REFRESH_CLAIMS = {
    **{name: CLAIMS[name] for name in ("exp", "iat", "jti", "user_id", "sub", "sid", "iss")},
    "token_type": "refresh",
    "aud": CLAIMS["iss"],
}


def make_key(algorithm):
    """Make a key. An RSA key has 2048 bits only, to save time."""
    if algorithm != "RS256":
        return generate_key(algorithm)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Key(f"rsa-{private.private_numbers().d % 997}", algorithm, private, private.public_key())


KEYS = {"HS256": KEY} | {name: make_key(name) for name in ("EdDSA", "ES256", "RS256")}
OTHERS = {name: make_key(name) for name in KEYS}


def signature(text, key, digest="sha256"):
    """Return the signature of a key, or the HMAC of a secret."""
    if isinstance(key, bytes):
        return hmac.digest(key, text, digest)
    if key.algorithm == "HS256":
        return hmac.digest(key.private_key, text, digest)
    if key.algorithm == "EdDSA":
        return key.private_key.sign(text)
    if key.algorithm == "RS256":
        return key.private_key.sign(text, PKCS1v15(), SHA256())
    numbers = decode_dss_signature(key.private_key.sign(text, ec.ECDSA(SHA256())))
    return b"".join(number.to_bytes(32) for number in numbers)


def signed(text, key=KEY, digest="sha256"):
    return f"{text}.{b64(signature(text.encode(), key, digest))}"


def sign_json(header=HEADER, payload=CLAIMS, secret=None, digest="sha256"):
    """Sign a header and a payload, given as bytes or as values that JSON can express.

    Without a secret, the key of refresh tokens signs what names it, and ``KEY`` all else.
    """
    is_refresh = isinstance(header, dict) and header.get("kid") == REFRESH_KEY.kid
    secret = (REFRESH_KEY if is_refresh else KEY) if secret is None else secret
    return signed(f"{b64(raw(header))}.{b64(raw(payload))}", secret, digest)


GOOD = sign_json()
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
OWN_KEY = b"attacker's key of thirty-two byte"


def public_key_texts(key):
    """Return the public key in every form that an attacker may use as a secret."""
    public = key.verification_key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    texts = {
        "PEM": pem,
        "PEM stripped": pem.strip(),
        "PEM in one line": pem.replace(b"\n", b""),
        "PEM body": b"".join(pem.splitlines()[1:-1]),
        "PEM body in lines": b"\n".join(pem.splitlines()[1:-1]),
        "DER": der,
        "DER in base64": b64encode(der),
        "SSH": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "JWK": json.dumps(key.jwk).encode(),
        "JWKS": json.dumps({"keys": [key.jwk]}).encode(),
    }
    if key.algorithm == "RS256":
        texts["PKCS1"] = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    return texts


def forgeries(key):
    """Return tokens that must not be verified, by name. Most are signed with the key itself."""
    header = HEADER | {"alg": key.algorithm, "kid": key.kid}
    own_jwk = {"kty": "oct", "k": b64(OWN_KEY), "kid": key.kid}
    known = key.private_key if key is KEY else public_key_texts(key)["PEM"]  # the secret of an HMAC

    def make(header=header, payload=CLAIMS, secret=key, digest="sha256"):
        return sign_json(header, payload, secret, digest)

    def headed(**changes):
        return make(header | changes)

    def without(name):
        return make({key: value for key, value in header.items() if key != name})

    good = make()
    start, body, proof = good.split(".")
    mixed = next(
        token
        for n in itertools.count()
        if {"-", "_"} <= set((token := make(payload=CLAIMS | {"jti": f"{n:022}"})).split(".")[2])
    )
    twin = ALPHABET[ALPHABET.index(good[-1]) + 1]  # differs in bits that say nothing
    header_json = json.dumps(header)

    algorithms = {
        **{
            f"alg {alg!r}": headed(alg=alg)
            for alg in (
                *("none", "None", "NONE", "nOnE", "", "hs256", "Hs256", "HS256 ", "HS384", "HS512"),
                *("RS256", "ES256", "PS256", "EdDSA", "HS256", "Ed25519", key.algorithm.lower()),
                *(None, 5, True, [key.algorithm], {key.algorithm: 1}),
            )
            if alg != key.algorithm
        },
        **{
            f"alg {alg} and no signature": f"{headed(alg=alg).rpartition('.')[0]}."
            for alg in ("none", "None", "NONE", "nOnE", None)
        },
        "HS384 truly": make(header | {"alg": "HS384"}, secret=known, digest="sha384"),
        "HS512 truly": make(header | {"alg": "HS512"}, secret=known, digest="sha512"),
        "HS512 called HS256": make(header | {"alg": "HS256"}, secret=known, digest="sha512"),
        "psychic signature": headed(alg="ES256").rpartition(".")[0] + ".MAYCAQACAQA",
        "psychic zeros": headed(alg="ES256").rpartition(".")[0] + "." + b64(bytes(64)),
    }
    signatures = {
        "signature empty": f"{start}.{body}.",
        "signature of zeros": f"{start}.{body}.{b64(bytes(len(unb64(proof))))}",
        "signature cut short": f"{start}.{body}.{b64(unb64(proof)[:-1])}",
        "signature with a byte more": f"{start}.{body}.{b64(unb64(proof) + b'0')}",
        "signature of other claims": f"{start}.{b64(raw(CLAIMS | {'user_id': 2, 'sub': '2'}))}."
        + proof,
        "signature of another header": f"{b64(raw(header | {'typ': 'rt+jwt'}))}.{body}.{proof}",
        "signature of the claims alone": f"{start}.{body}.{signed(body, key).partition('.')[2]}",
        **{
            f"key {name}": make(secret=secret)
            for name, secret in {
                "of another": OTHERS[key.algorithm],
                "of another secret": secret_key(SECRET_KEY + "x"),
                "of another purpose": derive_key(SECRET_KEY, "cookie"),
                "SECRET_KEY itself": SECRET_KEY.encode(),
                "the kid": key.kid.encode(),
                "empty": b"",
                "zeros": bytes(32),
                "'secret'": b"secret",
                "'your-256-bit-secret'": b"your-256-bit-secret",
            }.items()
        },
    }
    strange_kids = [
        *("", "unknown", key.kid[:-1], f"{key.kid} ", key.kid.swapcase(), "0", "/dev/null"),
        *("../../dev/null", "x' UNION SELECT '1", "x|sleep 10", f"{key.kid}\0", "\0", "é"),
        *("k" * 300, "K" * 2400, 5, 0, True, None, [], [key.kid], {}, {"kid": key.kid}),
    ]
    kids = {
        **{f"kid number {n}": headed(kid=kid) for n, kid in enumerate(strange_kids)},
        "kid empty, key empty": make(header | {"kid": ""}, secret=b""),
        "kid /dev/null, key empty": make(header | {"kid": "../../../dev/null"}, secret=b""),
        "kid missing": without("kid"),
    }
    derived = derive_refresh_key(key)
    theirs = REFRESH_HEADER | {"kid": derived.kid}
    kinds = {
        "refresh token by the access key": make(header | {"typ": "rt+jwt"}, REFRESH_CLAIMS),
        "refresh kid, access key": make(theirs | {"alg": key.algorithm}, REFRESH_CLAIMS),
        "access token by the refresh key": make(theirs | {"typ": "at+jwt"}, secret=derived),
        "status list by the refresh key": make(theirs | {"typ": "statuslist+jwt"}, secret=derived),
        "access kid, refresh key": make(HEADER | {"kid": key.kid}, secret=derived),
        "refresh token, access kid": make(theirs | {"kid": key.kid}, REFRESH_CLAIMS, derived),
        "refresh token without a kid": make({"alg": "HS256", "typ": "rt+jwt"}, secret=derived),
    }
    more_parameters = [
        *[("jku", "http://127.0.0.1:9/jwks"), ("x5u", "http://127.0.0.1:9/x5u")],
        *[("jwk", own_jwk), ("x5c", ["MIIB"]), ("x5t", "AAAA"), ("cty", "JWT")],
        *[("zip", "DEF"), ("enc", "A256GCM"), ("epk", {}), ("x", 1), ("exp", NOW + 60)],
        *[("crit", []), ("crit", ["exp"]), ("crit", ["x"]), ("crit", "b64"), ("crit", None)],
        *[("b64", False), ("b64", True), ("b64", None), ("KID", key.kid)],
    ]
    headers = {
        **{
            f"header with {name}, number {n}": headed(**{name: value})
            for n, (name, value) in enumerate(more_parameters)
        },
        "attacker's own jwk": make(header | {"jwk": own_jwk}, secret=unb64(own_jwk["k"])),
        "crit known, name missing": headed(crit=["b64"]),
        "b64 false, critical": headed(b64=False, crit=["b64"]),
        "b64 false, detached": "{}..{}".format(
            *signed(f"{b64(raw(header | {'b64': False, 'crit': ['b64']}))}.{{}}", key).split(".")[
                ::2
            ]
        ),
        "typ missing": without("typ"),
        "alg missing": without("alg"),
        **{
            f"header {name}": make(header)
            for name, header in {
                "empty": {},
                "a list": [header],
                "a string": header_json,
                "null": None,
                "a number": 5,
                "no JSON": b"{",
                "of no bytes": b"",
                "not UTF-8": header_json.replace("at+jwt", "\xff").encode("latin-1"),
                "in UTF-16": header_json.encode("utf-16"),
                "with a byte order mark": b"\xef\xbb\xbf" + header_json.encode(),
                "with NaN": header_json.replace('"at+jwt"', "NaN").encode(),
                "with a lone surrogate": header_json.replace("at+jwt", "\\ud800").encode(),
                "nested deeply": b"[" * 380,
                "longer than 512 characters": (header_json + " " * 400).encode(),
                **{
                    f"with {name} twice": header_json.replace(
                        "{", f'{{"{name}": "{first}", '
                    ).encode()
                    for name, first in header.items()
                },
            }.items()
        },
    }
    encodings = {
        "text with a = more": f"{good}=",
        "text with two = more": f"{good}==",
        "text with a dot more": f"{good}.",
        "text with ! more": f"{good}!",
        "text with a space more": f"{good} ",
        "text with a space before": f" {good}",
        "text with a newline more": f"{good}\n",
        "text with a newline within": f"{good[:-9]}\n{good[-9:]}",
        "text with another last character": good[:-1] + twin,
        "text in the standard alphabet": mixed.translate(str.maketrans("-_", "+/")),
        "text with a full-width letter": good[:-1] + chr(ord("A") + 0xFEE0),
        "text with its padding, signed": signed(f"{start}.{body}{'=' * (-len(body) % 4)}=", key),
        "text with 'Bearer '": f"Bearer {good}",
        "text in quotes": f'"{good}"',
    }
    structures = {
        **{
            f"shape {text!r}": text
            for text in (".", "..", "...", "a", "a.b", "a.b.c", "null", "é.é.é")
        },
        "two segments": f"{start}.{body}",
        "four segments": f"{good}.{proof}",
        "five segments": f"{start}.{body}.{proof}.{body}.{proof}",
        "no header": f".{body}.{proof}",
        "no payload": signed(f"{start}.", key),
        "JSON serialised": json.dumps({"protected": start, "payload": body, "signature": proof}),
        "payload longer than 2048 characters": make(payload=CLAIMS | {"jti": "x" * 2000}),
        **{
            f"payload {name}": make(payload=payload)
            for name, payload in {
                "no JSON": b"{",
                "followed by another": raw(CLAIMS) + raw(CLAIMS),
                "not UTF-8": raw(CLAIMS).replace(b"pycoder", b"\xff"),
                "in UTF-16": json.dumps({"exp": NOW + 600}).encode("utf-16"),
                "with a byte order mark": b"\xef\xbb\xbf" + raw(CLAIMS),
                "with a lone surrogate": raw(CLAIMS).replace(b"pycoder", b"\\ud800"),
                "nested deeply": b"[" * 1500,
                "with exp NaN": raw(CLAIMS | {"exp": float("nan")}),
                "with exp infinite": raw(CLAIMS | {"exp": float("inf")}),
                "with exp 1e400": raw(CLAIMS).replace(str(NOW + 600).encode(), b"1e400"),
                **{
                    f"with {name} twice": raw(CLAIMS)[:-1]
                    + f', "{name}": {json.dumps(value)}}}'.encode()
                    for name, value in CLAIMS.items()
                },
            }.items()
        },
    }
    return algorithms | signatures | kids | kinds | headers | encodings | structures


FORGERIES = {name: forgeries(key) for name, key in KEYS.items()}
each_forgery = pytest.mark.parametrize(
    ("algorithm", "name"),
    [(algorithm, name) for algorithm in KEYS for name in FORGERIES[algorithm]],
)
HEADERS = {"access": HEADER, "refresh": REFRESH_HEADER}
BASE = {"access": CLAIMS, "refresh": REFRESH_CLAIMS}


def forge(token, **changes):
    """Return a token with some claims changed, signed again."""
    header, claims = read(token)
    return sign_json(header, claims | changes)


URI = "https://id.example/.well-known/status/7.jwt"
REFERENCE = {"idx": 5, "uri": URI}
