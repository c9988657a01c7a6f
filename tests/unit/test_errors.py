"""The problems as a whole."""

from pycoder.errors import Problem


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
