"""The administration where its users need a second factor."""

import pytest

from tests.support.account_steps import confirm, first_step, in_account, set_up_app, sign_out
from tests.support.admins import make_admin
from tests.support.constants import PASSWORD
from tests.support.pages import barriers
from tests.support.ports import free_port
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process


@pytest.fixture(scope="module")
def server(tmp_path_factory, mailbox):
    folder, port = tmp_path_factory.mktemp("pages"), free_port()
    settings = {"RATE_LIMITS": "off", "MAIL_URL": mailbox.url, "SECOND_FACTOR": "admins"}
    settings |= {"PORT": port, "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", **settings) as running:
        yield running


def test_an_admin_without_a_factor_sets_one_up_and_comes_back(member, email, server):
    make_admin(member, email, server).goto("/admin/events/")
    member.get_by_role("heading", name="Administrators sign in with a second step").wait_for()
    assert barriers(member) == {}
    member.get_by_role("link", name="Set up a second step").click()
    member.locator("#event-list li").first.wait_for()
    set_up_app(member)
    member.get_by_role("link", name="Administration").click()
    member.locator("tbody tr").first.wait_for()


def test_an_admin_whose_device_is_remembered_confirms_the_second_step(member, email, server):
    _, codes = set_up_app(member)
    sign_out(member)
    first_step(member, email)
    member.get_by_role("button", name="Use a recovery code instead").click()
    member.get_by_label("Recovery code").fill(codes[0])
    member.get_by_label("Do not ask again on this device").check()
    member.get_by_role("button", name="Continue").click()
    in_account(member)
    sign_out(member)
    first_step(member, email)
    in_account(member)  # without the second step
    make_admin(member, email, server).goto("/admin/events/")
    member.get_by_role("button", name="Confirm it is you").click()
    member.keyboard.press("Escape")
    assert member.locator("tbody tr").count() == 0
    member.get_by_role("button", name="Confirm it is you").click()
    confirm(member, PASSWORD, recovery_code=codes[1])
    member.locator("tbody tr").first.wait_for()
    assert member.get_by_role("heading", name="Events", exact=True).is_visible()
