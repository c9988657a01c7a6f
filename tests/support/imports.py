"""Files of users, and what their import reports."""

import json

from tests.support.password_hashes import FOREIGN

NONE = {"added": 0, "existing": 0, "without_password": 0, "skipped": 0, "ignored": 0, "bad": 0}


def report(**counts):
    return "  ".join(f"{name}={count}" for name, count in (NONE | counts).items())


def line(number, **fields):
    user = {
        "id": number,
        "email": f"user{number}@example.com",
        "username": f"user{number}",
        "date_joined": "2021-03-04T05:06:07.123Z",
        "password": FOREIGN["plain bcrypt"],
    }
    return json.dumps(user | fields)
