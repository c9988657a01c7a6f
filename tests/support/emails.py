"""Calls that verify and change e-mail addresses."""

LINK_INVALID = (400, "link_invalid")


def verify(caller, token):
    return caller.client.post("/api/email/verify/", json={"token": token})


def resend(caller):
    return caller.call("POST", "/api/email/verify/resend/")


def move(caller, email, **proof):
    return caller.call("POST", "/api/email/change/", json={"email": email, **proof})


def rename(caller, **fields):
    return caller.call("PATCH", "/api/user/", json=fields)


def said(mails):
    return [(mail.to, mail.subject) for mail in mails]
