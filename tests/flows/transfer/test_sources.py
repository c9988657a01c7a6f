"""The exports of Keycloak, Auth0 and Firebase."""

import base64
import hashlib
import json
from datetime import datetime

import argon2
import pytest
from sqlalchemy import select

from pycoder.models.user import User
from pycoder.passwords.hashing import HASH_FORMAT, NO_PASSWORD
from tests.support.callers import Caller
from tests.support.imports import report
from tests.support.parameters import on_sqlite, table
from tests.support.password_hashes import FOREIGN, KNOWN

pytestmark = on_sqlite

SALT = bytes(range(240, 256))  # no text
UNKNOWN = "password: This is not a password hash of a supported format and cost."


def b64(data):
    return base64.b64encode(data).decode()


@pytest.fixture
def import_from(flask, tmp_path):
    """Return a function that imports an export, and returns the finished command."""

    def run(system, text, *options):
        file = tmp_path / "export.json"
        file.write_text(text)
        return flask("users", "import", str(file), "--from", system, *options)

    return run


# Keycloak


def keycloak_user(name, *credentials, **members):
    user = {
        "id": f"3d2f8c1e-0000-4000-8000-{len(name):012}",
        "createdTimestamp": 1_700_000_000_123,
        "username": name,
        "enabled": True,
        "totp": False,
        "emailVerified": True,
        "firstName": "Zoë",
        "lastName": "",
        "email": f"{name}@example.com",
        "attributes": {"shoes": ["42"]},
        "credentials": credentials,
        "disableableCredentialTypes": [],
        "requiredActions": [],
        "realmRoles": ["admin"],
        "notBefore": 0,
        "groups": [],
    }
    return user | members


def keycloak_password(algorithm, rounds, key, **more):
    secret = {"value": b64(key), "salt": b64(SALT), "additionalParameters": {}}
    data = {"hashIterations": rounds, "algorithm": algorithm, "additionalParameters": more}
    return {
        "id": "c0ffee",
        "type": "password",
        "createdDate": 1_700_000_000_123,
        "secretData": json.dumps(secret),
        "credentialData": json.dumps(data),
    }


def keycloak_argon2():
    kind = argon2.low_level.Type.ID
    key = argon2.low_level.hash_secret_raw(KNOWN.encode(), SALT, 2, 64, 1, 32, kind)
    more = {"hashLength": "32", "memory": "64", "type": "id", "version": "1.3", "parallelism": "1"}
    lists = {name: [value] for name, value in more.items()}
    return keycloak_password("argon2", 2, key, **lists)


def pbkdf2(digest, length):
    return hashlib.pbkdf2_hmac(digest, KNOWN.encode(), SALT, 1000, length)


KEYCLOAK_PASSWORDS = {
    "pbkdf2": keycloak_password("pbkdf2", 1000, pbkdf2("sha1", 64)),
    "pbkdf2-sha256": keycloak_password("pbkdf2-sha256", 1000, pbkdf2("sha256", 64)),
    "pbkdf2-sha512": keycloak_password("pbkdf2-sha512", 1000, pbkdf2("sha512", 64)),
    "argon2": keycloak_argon2(),
}


def realm(*users):
    before = {"id": "x", "realm": "users", "clients": [{"users": ["no user"]}], "roles": {"a": []}}
    return json.dumps(before | {"users": users, "scopeMappings": [{"client": "account"}]}, indent=2)


@table(KEYCLOAK_PASSWORDS)
def test_users_of_keycloak_sign_in_with_their_passwords(case, import_from, app, rows):
    otp = {"id": "o", "type": "otp", "secretData": "{}", "credentialData": "{}"}
    text = realm(keycloak_user("zoe", otp, case))
    assert import_from("keycloak", text).output == f"{report(added=1)}\n"
    assert import_from("keycloak", text).output == f"{report(existing=1)}\n"
    caller = Caller(app.test_client(), "zoe", "wrong")
    assert caller.try_login().status_code == 400
    caller.password = KNOWN
    user = caller.try_login().json["user"]
    assert user == user | {
        "external_id": "3d2f8c1e-0000-4000-8000-000000000003",
        "email": "zoe@example.com",
        "email_verified": True,
        "first_name": "Zoë",
        "roles": [],
    }
    assert datetime.fromisoformat(user["date_joined"]).timestamp() == 1_700_000_000.123
    assert HASH_FORMAT.fullmatch(rows(select(User.password_hash))[0])


def test_users_of_keycloak_without_a_usable_password_come_without_one(import_from, rows):
    broken = {"type": "password", "secretData": "{", "credentialData": "{}"}
    unknown = keycloak_password("md5", 1, b"x" * 16)
    users = [
        keycloak_user("a" * 3),
        keycloak_user("b" * 4, broken),
        keycloak_user("c" * 5, unknown, enabled=False),
        keycloak_user("d" * 6, {}, "x"),
        keycloak_user("service-account-x", serviceAccountClientId="x"),
    ]
    done = import_from("keycloak", realm(*users))
    assert done.stdout == f"{report(added=4, without_password=3, ignored=1)}\n"
    assert done.exit_code == 0
    assert done.stderr.splitlines() == [f"record {number}: {UNKNOWN}" for number in (2, 3, 4)]
    assert rows(select(User.password_hash)) == [NO_PASSWORD] * 4
    assert rows(select(User.is_active).order_by(User.id)) == [True, True, False, True]


def test_an_export_without_users_is_an_error(import_from):
    done = import_from("keycloak", json.dumps({"realm": "x", "clients": [{"users": []}]}))
    assert done.stderr == "record 1: file: There is no array of users.\n"
    assert done.exit_code == 1


# Auth0


def auth0_user(**members):
    user = {
        "_id": {"$oid": "60425da93519d90068f82966"},
        "email_verified": True,
        "email": "zoe@example.com",
        "tenant": "shop",
        "connection": "Username-Password-Authentication",
        "_tmp_is_unique": True,
    }
    return json.dumps(user | members)


def custom(algorithm, value, **more):
    return {"custom_password_hash": {"algorithm": algorithm, "hash": {"value": value}, **more}}


def phc(data):
    return b64(data).rstrip("=")


SCRYPT = hashlib.scrypt(KNOWN.encode(), salt=SALT, n=1024, r=8, p=1, dklen=64)
AUTH0_PASSWORDS = {
    "bcrypt": {"passwordHash": FOREIGN["plain bcrypt"]},
    "password_hash": {"password_hash": FOREIGN["plain bcrypt"]},
    "custom bcrypt": custom("bcrypt", FOREIGN["plain bcrypt"]),
    "custom argon2": custom("argon2", FOREIGN["argon2"].removeprefix("argon2")),
    "custom pbkdf2": custom(
        "pbkdf2", f"$pbkdf2-sha512$i=1000,l=64${phc(SALT)}${phc(pbkdf2('sha512', 64))}"
    ),
    "custom scrypt": custom(
        "scrypt",
        None,
        hash={"value": SCRYPT.hex(), "encoding": "hex"},
        salt={"value": b64(SALT), "encoding": "base64"},
        cost=1024,
        blockSize=8,
        parallelization=1,
        keylen=64,
    ),
}


@table(AUTH0_PASSWORDS)
def test_users_of_auth0_sign_in_with_their_passwords(case, import_from, app):
    assert import_from("auth0", auth0_user(**case)).output == f"{report(added=1)}\n"
    user = Caller(app.test_client(), "zoe", KNOWN).try_login().json["user"]
    assert user["external_id"] == "auth0|60425da93519d90068f82966"
    assert (user["email_verified"], user["username"]) == (True, "zoe")


def test_users_of_auth0_are_recognized_by_their_user_id(import_from, rows):
    profile = {"given_name": "Zoë", "created_at": "2021-03-04T05:06:07.123Z", "blocked": True}
    assert import_from("auth0", auth0_user(**profile)).output == f"{report(added=1)}\n"
    again = {"user_id": "auth0|60425da93519d90068f82966", "_id": None}
    assert import_from("auth0", auth0_user(**again)).output == f"{report(existing=1)}\n"
    [user] = rows(select(User))
    assert (user.first_name, user.is_active) == ("Zoë", False)
    assert user.date_joined.isoformat() == "2021-03-04T05:06:07.123000+00:00"


@pytest.mark.parametrize(
    "password",
    [
        custom("md5", "5f4dcc3b5aa765d61d8327deb882cf99"),
        custom("pbkdf2", "$pbkdf2-sha512$"),
        custom("scrypt", "x"),
        {"custom_password_hash": "x"},
    ],
)
def test_unknown_passwords_of_auth0_are_counted(import_from, rows, password):
    done = import_from("auth0", auth0_user(**password))
    assert done.stdout == f"{report(added=1, without_password=1)}\n"
    assert done.stderr == f"line 1: {UNKNOWN}\n"
    assert rows(select(User.password_hash)) == [NO_PASSWORD]


# Firebase: the example that its scrypt utility publishes

KEY = "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
CONSOLE = f"""hash_config {{
  algorithm: SCRYPT,
  base64_signer_key: {KEY},
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}}"""
PARAMETERS = {
    "base64_signer_key": KEY,
    "base64_salt_separator": "Bw==",
    "rounds": 8,
    "mem_cost": 14,
}
HASH = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
FIREBASE_USER = {
    "localId": "k3Xm0gT1VvQZ",
    "email": "User1@example.com",
    "emailVerified": True,
    "passwordHash": HASH,
    "salt": "42xEC+ixf3L2lw==",
    "displayName": "User One",
    "lastSignedInAt": "1700000000456",
    "createdAt": "1700000000123",
    "disabled": False,
    "providerUserInfo": [],
}


@pytest.fixture
def from_firebase(import_from, tmp_path):
    """Return a function that imports users of Firebase."""

    def run(*users, parameters=CONSOLE, options=()):
        file = tmp_path / "parameters"
        file.write_text(parameters)
        text = json.dumps({"users": users})
        return import_from("firebase", text, "--firebase-parameters", str(file), *options)

    return run


@pytest.mark.parametrize("parameters", [CONSOLE, json.dumps(PARAMETERS)])
def test_users_of_firebase_sign_in_with_their_passwords(from_firebase, app, rows, parameters):
    urlsafe = HASH.replace("+", "-").replace("/", "_")
    other = {"localId": "2", "email": "b@example.com", "passwordHash": urlsafe}
    users = FIREBASE_USER, FIREBASE_USER | other
    assert from_firebase(*users, parameters=parameters).output == f"{report(added=2)}\n"
    assert from_firebase(*users, parameters=parameters).output == f"{report(existing=2)}\n"
    stored = rows(select(User.password_hash))
    assert not any(KEY[:20] in hashed or HASH[:20] in hashed for hashed in stored)
    caller = Caller(app.test_client(), "user1@example.com", "user2password")
    assert caller.try_login().status_code == 400
    caller.password = "user1password"
    user = caller.try_login().json["user"]
    assert (user["external_id"], user["first_name"]) == ("k3Xm0gT1VvQZ", "User One")
    assert Caller(app.test_client(), "b@example.com", "user1password").try_login().json["user"]


def test_users_of_firebase_without_an_address_or_a_password(from_firebase, rows):
    phone = {"localId": "1", "phoneNumber": "+15550001", "createdAt": "soon"}
    google = {"localId": "2", "email": "g@example.com", "disabled": True}
    broken = {"localId": "3", "email": "c@example.com", "passwordHash": "eA==", "salt": "x"}
    done = from_firebase(phone, google, broken, options=["--skip"])
    assert done.stdout == f"{report(added=2, skipped=1, without_password=1)}\n"
    assert done.stderr == f"record 3: {UNKNOWN}\n"
    assert rows(select(User.is_active).order_by(User.id)) == [False, True]


def test_no_account_is_active_because_a_value_is_unclear(from_firebase, import_from):
    unclear = FIREBASE_USER | {"disabled": "true"}
    assert "is_active: Not a valid boolean" in from_firebase(unclear).stderr
    assert "is_active: Not a valid boolean" in import_from("auth0", auth0_user(blocked=1)).stderr


def test_parameters_of_firebase_that_are_none_are_refused(from_firebase):
    for name in PARAMETERS:
        some = {key: value for key, value in PARAMETERS.items() if key != name}
        done = from_firebase(FIREBASE_USER, parameters=json.dumps(some))
        assert done.stderr.startswith("Error: firebase-parameters: The file must contain")
        assert KEY not in done.output


def test_options_that_contradict_each_other_are_refused(flask, import_from, tmp_path):
    assert import_from("firebase", "{}").exit_code == 2
    assert flask("users", "import", "-", "--from", "auth0", "--csv", stdin="").exit_code == 2
    (tmp_path / "key").write_text(CONSOLE)
    options = ("--firebase-parameters", str(tmp_path / "key"))
    assert import_from("keycloak", "{}", *options).exit_code == 2
