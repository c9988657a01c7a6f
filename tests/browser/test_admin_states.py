"""The pages of the administration when they are refused, unreachable, or used by keyboard."""

import json

import pytest

from tests.support.account_steps import first_step
from tests.support.admins import disguise, open_person
from tests.support.constants import PASSWORD
from tests.support.pages import barriers, register

pytestmark = pytest.mark.untraced  # the server is another process


@pytest.fixture(scope="module")
def server(localhost_server):
    return localhost_server


def refuse(page, path, status, code, **headers):
    """Answer the calls of a path with a problem."""
    problem = json.dumps({"code": code, "detail": "It is refused, as is tested."})
    page.route(
        f"**{path}",
        lambda route: route.fulfill(
            status=status, headers=headers, body=problem, content_type="application/problem+json"
        ),
    )


def test_who_is_no_admin_is_shown_the_way_back(page, email):
    register(page, email)
    assert page.get_by_role("link", name="Administration").is_hidden()
    for path in ("/admin/", "/admin/events/", "/admin/users/1/"):
        page.goto(path)
        page.get_by_role("heading", name="This page is for administrators").wait_for()
        assert page.locator("#admin").is_hidden()
    page.get_by_role("link", name="Back to your account").click()
    page.wait_for_url("**/account")


def test_a_sign_in_returns_to_the_page_that_asked_for_it(admin, email):
    open_person(admin, f"admin-{email}")
    asked = admin.url
    admin.evaluate("import('/static/session.js').then(({ client }) => void client.logout())")
    admin.wait_for_url("**/login")
    first_step(admin, f"admin-{email}")
    admin.wait_for_url(asked)
    admin.locator("#event-list li").first.wait_for()


def test_a_person_who_does_not_exist_leads_back_to_the_list(admin):
    admin.goto("/admin/users/999999999/")
    admin.get_by_role("heading", name="There is no such account").wait_for()
    admin.get_by_role("link", name="All people").click()
    admin.locator("tbody tr").first.wait_for()


def test_a_list_that_cannot_be_read_stays_and_is_asked_for_again(admin):
    admin.goto("/admin/")
    admin.locator("tbody tr").first.wait_for()
    admin.context.set_offline(True)
    admin.get_by_role("button", name="Search").click()
    admin.get_by_role("status").get_by_text("The server cannot be reached.").wait_for()
    assert admin.locator("tbody tr").first.is_visible()
    admin.context.set_offline(False)
    refuse(admin, "/api/admin/users/**", 429, "too_many_requests", **{"Retry-After": "30"})
    admin.get_by_role("button", name="Try again").click()
    admin.get_by_role("status").get_by_text("It is refused, as is tested.").wait_for()
    admin.unroute("**/api/admin/users/**")
    admin.get_by_role("button", name="Try again").click()
    admin.locator("#status").wait_for(state="hidden")


def test_what_is_refused_is_said_below_the_question(admin, member, email):
    open_person(admin, email)
    refuse(admin, "/sessions/", 429, "too_many_requests", **{"Retry-After": "30"})
    admin.get_by_role("button", name="Sign out everywhere…").click()
    question = admin.get_by_role("dialog", name="everywhere?")
    question.get_by_role("button", name="Sign out everywhere").click()
    confirmation = admin.get_by_role("dialog", name="Confirm it is you")
    confirmation.get_by_label("Your password", exact=True).fill(PASSWORD)
    confirmation.get_by_label("Your password", exact=True).press("Enter")
    question.get_by_role("alert").get_by_text("It is refused, as is tested.").wait_for()
    member.reload()
    member.locator("#event-list li").first.wait_for()  # still signed in


def test_a_search_that_finds_nobody_says_so(admin):
    admin.goto("/admin/?q=zzz-nobody-at-all")
    admin.get_by_role("heading", name="Nobody found").wait_for()
    assert admin.locator("table").is_hidden()
    admin.get_by_label("Search").fill("%")
    admin.get_by_label("Search").press("Enter")
    admin.wait_for_url("**q=%25")
    admin.get_by_role("heading", name="Nobody found").wait_for()
    admin.get_by_label("Role", exact=True).fill("r" * 60)
    admin.get_by_role("button", name="Search").click()
    admin.locator("#role-error:not(:empty)").wait_for()


def test_a_person_is_found_and_signed_out_by_keyboard_alone(admin, member, email):
    admin.get_by_role("link", name="Administration").press("Enter")
    admin.locator("tbody tr").first.wait_for()
    admin.get_by_label("Search").focus()
    admin.keyboard.type(email)
    admin.keyboard.press("Enter")
    admin.get_by_text("1 person", exact=True).wait_for()
    for _ in range(5):  # the role, the state, Search, Invite, and the row
        admin.keyboard.press("Tab")
    admin.keyboard.press("Enter")
    admin.locator("#event-list li").first.wait_for()
    admin.locator("#end-sessions").focus()
    admin.keyboard.press("Enter")
    question = admin.get_by_role("dialog", name="everywhere?")
    question.wait_for()
    admin.keyboard.press("Enter")  # Cancel has the focus
    question.wait_for(state="hidden")
    admin.wait_for_function("document.activeElement?.id === 'end-sessions'")
    admin.keyboard.press("Enter")
    admin.keyboard.press("Shift+Tab")
    admin.keyboard.press("Enter")
    admin.locator("#confirm-password").wait_for()
    admin.keyboard.type(PASSWORD)
    admin.keyboard.press("Enter")
    admin.get_by_text("All devices are signed out.").wait_for()
    admin.wait_for_function("document.activeElement?.id === 'actions-title'")
    member.reload()
    member.wait_for_url("**/login")


def test_no_page_of_the_administration_has_a_barrier_or_overflows(admin, member, email, server):
    def check(step):
        assert barriers(admin) == {}, step

    disguise(server, email)
    admin.goto("/admin/")
    admin.locator("tbody tr").first.wait_for()
    check("people")
    admin.get_by_role("button", name="Invite a person…").click()
    check("invite")
    admin.keyboard.press("Escape")
    open_person(admin, email)
    check("a person")
    admin.get_by_role("button", name="Deactivate…").click()
    check("a question")
    admin.get_by_role("button", name="Deactivate", exact=True).click()
    admin.locator("#confirm-password").wait_for()
    check("confirm")
    admin.get_by_role("dialog").get_by_label("Your password", exact=True).fill(PASSWORD)
    admin.keyboard.press("Enter")
    admin.get_by_text("The account is deactivated").wait_for()
    check("a deactivated person")
    admin.goto("/admin/events/")
    admin.locator("tbody tr").first.wait_for()
    admin.locator("summary").first.click()
    check("events")
