"""The pages as they are served."""

import re

from tests.support.pages import PAGES


def test_every_page_is_under_a_strict_policy(client):
    for path in PAGES:
        answer = client.get(path.partition("#")[0])
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(
            r"<style|style=|<script(?! (type=\"module\" )?src=\"/static/)|\son\w+=", answer.text
        )


def test_the_files_of_the_reference_come_from_their_package_and_nowhere_else(client):
    with client.get("/static/reference/swagger-ui.css") as style:
        assert style.mimetype == "text/css"
    for path in ("../__init__.py", "..%2f__init__.py", "nothing.js"):
        assert client.get(f"/static/reference/{path}").status_code == 404


def test_password_managers_are_shown_the_way(client):
    answer = client.get("/.well-known/change-password")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/account#password"
