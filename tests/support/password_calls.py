"""Calls that change and reset passwords."""

from tests.support.constants import PASSWORD

NEW = "a password that nobody has yet"
WRONG = "this is not the password"


def change(caller, current=PASSWORD, new=NEW, token=None):
    body = {"current_password": current, "new_password": new}
    return caller.call("POST", "/api/password/change/", token, json=body)


def prove(caller, password=None, token=None):
    body = {"password": password or caller.password}
    return caller.call("POST", "/api/reauthenticate/", token, json=body)


def ask(caller, email="ada@example.com"):
    return caller.client.post("/api/password/reset/", json={"email": email})


def confirm(caller, token, new=NEW):
    body = {"token": token, "new_password": new}
    return caller.client.post("/api/password/reset/confirm/", json=body)
