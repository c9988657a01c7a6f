"""Calls that verify and change e-mail addresses."""

LINK_INVALID = (400, "link_invalid")


def verify(caller, token):
    return caller.client.post("/api/email/verify/", json={"token": token})


def resend(caller):
    return caller.call("POST", "/api/email/verify/resend/")


def move(caller, email, token=None, **proof):
    """Ask for a change of address, by default with the password."""
    body = {"email": email, **(proof or {"password": caller.password})}
    return caller.call("POST", "/api/email/change/", token, json=body)


def change_address(caller, email, mails, **proof):
    """Change the address by the mailed link; return the token that undoes it, if any."""
    mails()
    assert move(caller, email, **proof).status_code == 202
    [link] = [mail for mail in mails() if mail.to == email]
    assert verify(caller, link.token).status_code == 204
    caller.email = email
    undo = [mail.token for mail in mails() if "/undo-email" in mail.text]
    return undo[0] if undo else None


def undo(caller, token):
    return caller.client.post("/api/email/undo/", json={"token": token})


def rename(caller, **fields):
    return caller.call("PATCH", "/api/user/", json=fields)


def with_link(mails):
    """Return the only mail that contains a link of an account."""
    [mail] = [mail for mail in mails if "#token=" in mail.text]
    return mail


def said(mails):
    return [(mail.to, mail.subject) for mail in mails]
