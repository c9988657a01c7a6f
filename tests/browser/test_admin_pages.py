"""The administration of people on the pages, in a real browser."""

import re
import sqlite3
from contextlib import closing

import pytest

from tests.support.account_steps import first_step, in_account, set_up_app
from tests.support.admins import HOSTILE, REVERSED, answer, disguise, open_person
from tests.support.constants import PASSWORD
from tests.support.pages import login

pytestmark = pytest.mark.untraced  # the server is another process

NEW_PASSWORD = "four quite different words"
WIDTHS = (390, 1440)


@pytest.fixture(scope="module")
def server(localhost_server):
    return localhost_server


@pytest.mark.parametrize("width", WIDTHS)
def test_an_admin_goes_from_the_list_to_removing_the_factors_of_somebody(
    admin, member, email, server, width
):
    set_up_app(member)
    disguise(server, email)
    admin.set_viewport_size({"width": width, "height": 800})
    admin.on("dialog", lambda dialog: pytest.fail(f"a name was run: {dialog.message}"))
    admin.get_by_role("link", name="Administration").click()
    admin.get_by_label("Search").fill(email)
    admin.get_by_role("button", name="Search").click()
    admin.get_by_text("1 person", exact=True).wait_for()
    row = admin.locator("tbody tr")
    assert HOSTILE in row.inner_text()
    assert f"{REVERSED} {HOSTILE}" in row.locator("bdi").all_inner_texts()
    assert "two-step" in row.inner_text()
    row.click()  # anywhere
    admin.get_by_role("heading", name=HOSTILE).wait_for()
    assert HOSTILE in admin.title()
    assert admin.locator("#factors").inner_text() == "Authenticator app, Recovery codes"
    admin.get_by_role("button", name="Remove…").click()
    assert "the password alone signs in" in admin.locator("#question-text").inner_text()
    answer(admin, "Remove two-step sign-in", "Remove two-step sign-in")
    admin.get_by_text("Two-step sign-in is removed, and all devices").wait_for()
    assert admin.locator("#factors").inner_text() == "Off."
    assert admin.get_by_role("button", name="Remove…").is_disabled()
    event = admin.locator("#event-list li").first
    assert re.search(r"removed by an administrator.* by #\d+", event.inner_text(), re.DOTALL)
    assert admin.evaluate("document.documentElement.scrollWidth") <= width
    member.reload()
    member.wait_for_url("**/login")
    first_step(member, email)
    in_account(member)  # by the password alone


def test_roles_are_chips_that_are_added_and_removed(admin, member, email):
    open_person(admin, email)
    field = admin.get_by_label("New role")
    field.fill("Not a role")
    field.press("Enter")
    dialog = admin.get_by_role("dialog", name="Confirm it is you")
    dialog.get_by_label("Your password", exact=True).fill(PASSWORD)
    dialog.get_by_role("button", name="Confirm").click()
    admin.locator("#role-error", has_text="Use at most 40").wait_for()
    field.fill("editor")
    field.press("Enter")
    admin.get_by_text("The role editor is given.").wait_for()
    assert admin.locator("#role-list li").all_text_contents() == ["editor×"]
    field.fill("admin")
    field.press("Enter")
    assert "told by mail" in admin.locator("#question-text").inner_text()
    answer(admin, "an administrator?", "Make administrator", confirms=False)
    admin.get_by_text("The role admin is given.").wait_for()
    member.reload()  # nobody was signed out
    member.get_by_text("Role given").first.wait_for()
    assert "by an administrator" in member.locator("#event-list li").first.inner_text()
    member.get_by_role("link", name="Administration").wait_for()
    admin.get_by_role("button", name="Remove the role admin").click()
    answer(admin, "Remove the role admin?", "Remove role", confirms=False)
    admin.get_by_text("The role admin is removed.").wait_for()
    assert admin.locator("#role-list li").all_text_contents() == ["editor×"]
    member.goto("/admin/")
    member.get_by_role("heading", name="This page is for administrators").wait_for()


def test_nobody_changes_the_roles_of_their_own_account_or_deactivates_it(admin, email):
    open_person(admin, f"admin-{email}")
    admin.get_by_text("This is your own account.").wait_for()
    assert admin.locator("#role-list li").all_inner_texts() == ["admin"]
    assert admin.locator("#add-role").is_hidden()
    assert admin.get_by_role("button", name="Deactivate…").is_disabled()


def test_an_account_is_deactivated_and_activated(admin, member, email):
    open_person(admin, email)
    admin.get_by_role("button", name="Deactivate…").click()
    answer(admin, "Deactivate", "Deactivate")
    admin.get_by_text("The account is deactivated").wait_for()
    assert admin.locator("#state").inner_text() == "deactivated"
    member.reload()
    member.wait_for_url("**/login")
    admin.goto(f"/admin/?q={email}&active=false")
    admin.get_by_text("1 person", exact=True).wait_for()
    assert admin.get_by_label("State").input_value() == "false"
    open_person(admin, email)
    admin.get_by_role("button", name="Activate…").click()
    answer(admin, "Activate", "Activate")
    admin.get_by_text("The account is active again.").wait_for()
    login(member, email)


def test_devices_are_signed_out_and_the_password_is_voided(admin, member, email, follow):
    open_person(admin, email)
    assert admin.locator("#device-list li").count() == 1
    admin.get_by_role("button", name="Sign out everywhere…").click()
    answer(admin, "everywhere?", "Sign out everywhere")
    admin.get_by_text("All devices are signed out.").wait_for()
    admin.get_by_text("Not signed in on any device.").wait_for()
    login(member, email)
    admin.get_by_role("button", name="Reset…").click()
    answer(admin, "Reset the password", "Reset password", confirms=False)
    admin.get_by_text("The link is on its way.").wait_for()
    assert "None:" in admin.locator("#password").inner_text()
    member.reload()
    member.wait_for_url("**/login")
    follow(member, email, "/reset-password")
    member.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    member.get_by_role("button", name="Set password").click()
    member.get_by_text("Your new password is set").wait_for()
    login(member, email, NEW_PASSWORD)


def test_a_person_is_invited_sets_a_password_and_signs_in(admin, page, email, follow):
    admin.goto("/admin/")
    admin.get_by_role("button", name="Invite a person…").click()
    dialog = admin.get_by_role("dialog", name="Invite a person")
    dialog.get_by_label("E-mail address").fill("nobody")
    dialog.get_by_label("First name").fill("Ada")
    dialog.get_by_label("Roles").fill("editor, reader")
    send = dialog.get_by_role("button", name="Send the invitation")
    send.click()
    confirmation = admin.get_by_role("dialog", name="Confirm it is you")
    confirmation.get_by_label("Your password", exact=True).fill(PASSWORD)
    confirmation.get_by_role("button", name="Confirm").click()
    dialog.locator("#invite-email-error", has_text="valid e-mail").wait_for()
    dialog.get_by_label("E-mail address").fill(email)
    send.click()
    admin.get_by_role("status").get_by_text("The invitation is on its way").wait_for()
    admin.get_by_role("status").get_by_role("link", name=email).click()
    admin.locator("#event-list li").first.wait_for()
    assert admin.locator("#role-list li").all_text_contents() == ["editor×", "reader×"]
    assert admin.get_by_role("button", name="Send the link again…").is_enabled()
    follow(page, email, "/accept-invitation")
    page.get_by_label("Password", exact=True).fill(NEW_PASSWORD)
    page.get_by_role("button", name="Set password").click()
    page.get_by_text("Your password is set").wait_for()
    assert "token" not in page.url
    page.locator("main").get_by_role("link", name="Sign in").click()
    first_step(page, email, NEW_PASSWORD)
    in_account(page)
    assert page.locator("#verified").inner_text() == "confirmed"
    assert page.get_by_role("link", name="Administration").is_hidden()


def test_events_are_filtered_and_paged_and_back_returns(admin, email, server):
    many = """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
        INSERT INTO audit_events (event, user_id, at) SELECT 'password.changed', :u, :at FROM n"""
    open_person(admin, f"admin-{email}")
    number = re.findall(r"\d+", admin.url)[-1]
    with closing(sqlite3.connect(server.folder / "pycoder.db", timeout=30)) as database:
        database.execute(many, {"u": number, "at": "2026-11-20 10:00:00.000000"})
        database.commit()
    admin.get_by_role("link", name="All events of this account").click()
    admin.get_by_text("50 events on this page").wait_for()
    assert admin.get_by_label("Account", exact=True).input_value() == number
    admin.get_by_label("Event", exact=True).select_option("Password changed")
    admin.get_by_role("button", name="Search").click()
    admin.wait_for_url("**event=password.changed*")
    admin.get_by_role("button", name="Older events").click()
    admin.get_by_text("10 events on this page").wait_for()
    assert admin.locator("#list-title").evaluate("(title) => title === document.activeElement")
    assert {*admin.locator("tbody td:first-child").all_inner_texts()} == {"Password changed"}
    admin.go_back()
    admin.get_by_text("50 events on this page").wait_for()
    admin.get_by_label("Account", exact=True).fill("nobody")
    admin.get_by_role("button", name="Search").click()
    admin.locator("#user-error:not(:empty)").wait_for()
