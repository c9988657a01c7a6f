"""An authenticator app, and calls of an account that has one."""

import base64
import hmac
import struct

from sqlalchemy import update

from pycoder.clock import now
from pycoder.extensions import db
from pycoder.models.user import User

STEP = 30


class Authenticator:
    """An authenticator app: a second implementation of RFC 4226 and RFC 6238."""

    def __init__(self, secret):
        self.key = base64.b32decode(secret)

    def code(self, steps=0):
        """Return the code that the app shows now, or so many steps from now."""
        counter = int(now().timestamp()) // STEP + steps
        mac = hmac.digest(self.key, struct.pack(">Q", counter), "sha1")
        offset = mac[-1] & 0x0F
        number = struct.unpack(">I", mac[offset : offset + 4])[0] & 0x7FFFFFFF
        return f"{number % 1_000_000:06}"

    def wrong_code(self):
        """Return a code that is valid in none of the steps around now."""
        right = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in map("{:06}".format, range(10)) if code not in right)


def confirm_address(app, email="ada@example.com"):
    """Mark an address as confirmed, as its link would."""
    with app.app_context():
        db.session.execute(update(User).where(User.email == email).values(email_verified=True))
        db.session.commit()


def prove(caller, **factor):
    """Exchange the password, and a second factor if one is given, for a proof."""
    answer = caller.call(
        "POST", "/api/reauthenticate/", json={"password": caller.password, **factor}
    )
    assert answer.status_code == 200, answer.json
    return answer.json["proof"]


def enrol(caller, app, **proof):
    """Add an authenticator app to an account, and return it with its recovery codes.

    The code of the present step is used up.
    """
    confirm_address(app, caller.email)
    proof = proof or {"password": caller.password}
    setup = caller.call("POST", "/api/factors/totp/", json=proof)
    assert setup.status_code == 200, setup.json
    authenticator = Authenticator(setup.json["secret"])
    path = "/api/factors/totp/confirm/"
    confirmed = caller.call("POST", path, json={"code": authenticator.code()})
    assert confirmed.status_code == 200, confirmed.json
    return authenticator, confirmed.json["recovery_codes"]


def half(caller, **fields):
    """Take the first step of a login, and return the ticket for the second."""
    answer = caller.try_login(**fields)
    assert answer.status_code == 403, answer.json
    assert answer.json["code"] == "second_factor_required"
    return answer.json["ticket"]


def second_step(caller, ticket, **factor):
    """Take the second step of a login. The caller keeps the tokens."""
    body = {"ticket": ticket, **factor}
    return caller._signed_in(caller.client.post("/api/login/second-step/", json=body))


def reset_password(caller, mails):
    """Set another password by a mailed link, which signs nobody in."""
    sent = caller.client.post("/api/password/reset/", json={"email": caller.email})
    assert sent.status_code == 202
    [token] = [mail.token for mail in mails() if "/reset-password" in mail.text]
    caller.password = "quite another pass phrase"
    body = {"token": token, "new_password": caller.password}
    answer = caller.client.post("/api/password/reset/confirm/", json=body)
    assert (answer.status_code, answer.data) == (204, b"")
