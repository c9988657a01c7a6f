"""Sessions against their model: in any order of calls, the promises hold."""

from datetime import timedelta
from functools import partial

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from pycoder.clock import now
from tests.support.application import migrated
from tests.support.constants import SOAK
from tests.support.mail_server import MailServer
from tests.support.outbox import send
from tests.support.role_model import RoleMachine
from tests.support.session_model import CAP

pytestmark = pytest.mark.untraced  # it repeats, a thousand times, what other tests trace


@pytest.fixture(scope="module")
def model_app(new_database, tmp_path_factory):
    """An application without limits; its database is empty_tables before each story."""
    with MailServer() as server:
        settings = {
            "DATABASE_URL": new_database(),
            "RATE_LIMITS": "off",
            "MAIL_URL": server.url,
        }
        with migrated(tmp_path_factory.mktemp("model"), **settings) as app:
            app.config["SESSIONS_PER_USER"] = CAP
            yield app, server


def arrive(app, server):
    """Send the mails that are due, and return them."""
    del server.mails[:]
    send(app)
    return list(server.mails)


def test_whatever_happens_in_whatever_order_the_promises_hold(model_app):
    app, server = model_app
    run_state_machine_as_test(
        lambda: RoleMachine(app, partial(arrive, app, server)),
        settings=settings(
            max_examples=20 * SOAK,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            phases=list(Phase) if SOAK > 1 else [Phase.generate],  # shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_without_a_leeway_a_clock_that_is_behind_opens_no_window(ada):
    """Of two nodes, the one that is asked second may have the slower clock."""
    first = ada.login().refresh
    with time_machine.travel(now() + timedelta(seconds=2), tick=False):
        assert ada.refresh(first).status_code == 200
    assert ada.refresh(first).json["code"] == "token_reused"
    assert ada.user().json["code"] == "token_revoked"
