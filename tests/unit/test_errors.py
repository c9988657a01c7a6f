"""The problems as a whole."""

import pytest

from pycoder.errors import Problem, TooManyRequests


def kinds(problem=Problem):
    for kind in problem.__subclasses__():
        yield from kinds(kind)
        if hasattr(kind, "code"):
            yield kind


# Their form


def test_every_problem_has_a_code_of_its_own_and_a_sentence_to_show():
    found = list(kinds())
    assert len({kind.code for kind in found}) == len(found) > 15
    for kind in found:
        assert 400 <= kind.status < 600
        assert kind.detail[0].isupper()
        assert kind.detail.endswith(".")


WAITS = {
    1: "1 second",
    40: "40 seconds",
    90: "90 seconds",
    91: "2 minutes",
    900: "15 minutes",
    901: "16 minutes",
    3600: "60 minutes",
    7200: "120 minutes",
    7201: "3 hours",
    86_400: "24 hours",
}


@pytest.mark.parametrize("seconds", WAITS)
def test_a_limit_says_how_long_to_wait_and_rounds_up(seconds):
    problem = TooManyRequests(seconds)
    assert problem.headers == {"Retry-After": str(seconds)}
    assert problem.detail.endswith(f" Please try again in {WAITS[seconds]}.")
