"""Administrators and the people whom they administer, on the pages."""

import sqlite3
from contextlib import closing

from tests.support.commands import flask_command
from tests.support.constants import PASSWORD

HOSTILE = "<script>alert('PyCoder')</script>"
REVERSED = "\u202egnitset <b>שלום</b>"


def make_admin(page, email, server):
    """Grant the role of the user of a page by the command, and open the account again."""
    granted = flask_command(server.folder, server.env, "users", "grant", email, "admin")
    assert granted.returncode == 0, granted.stderr
    page.goto("/account")
    page.get_by_role("link", name="Administration").wait_for()
    return page


def disguise(server, email):
    """Write names that the API refuses into an account, as an old import may have done."""
    names = "UPDATE users SET username = ?, first_name = ?, last_name = ? WHERE email = ?"
    with closing(sqlite3.connect(server.folder / "pycoder.db", timeout=30)) as database:
        assert database.execute(names, (HOSTILE, REVERSED, HOSTILE, email)).rowcount == 1
        database.commit()


def open_person(page, email):
    """Find a person by the address, and open the row."""
    page.goto("/admin/")
    page.get_by_label("Search").fill(email)
    page.get_by_label("Search").press("Enter")
    page.get_by_text("1 person", exact=True).wait_for()
    page.locator("tbody a").click()
    page.locator("#event-list li").first.wait_for()
    return page


def answer(page, question, button, *, confirms=True):
    """Answer a question of the page, and confirm it with the password."""
    dialog = page.get_by_role("dialog", name=question)
    dialog.get_by_role("button", name=button).click()
    if confirms:
        confirmation = page.get_by_role("dialog", name="Confirm it is you")
        confirmation.get_by_label("Your password", exact=True).fill(PASSWORD)
        confirmation.get_by_role("button", name="Confirm").click()
    dialog.wait_for(state="hidden")
