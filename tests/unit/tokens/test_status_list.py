"""Status lists: the form of the claim, and the allocation of indexes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pycoder.tokens import status_list
from tests.support.forgeries import REFERENCE, URI
from tests.support.parameters import in_words

NO_PLACES = [-1, 65_536, 10**30, "5", 5.0, True, None]
NO_LISTS = [None, 5, "", "x", f"{URI}?", f" {URI}", URI.replace("7", "x"), URI[8:], [URI]]
NO_REFERENCES = [
    *(None, True, 5, "", [], {}, URI, {"idx": 5}, {"uri": URI}, [5, URI], REFERENCE | {"more": 1}),
    *(REFERENCE | {"idx": idx} for idx in NO_PLACES),
    *(REFERENCE | {"uri": uri} for uri in NO_LISTS),
]
NO_STATUS = [
    *(None, True, 5, "", [], {}, URI, REFERENCE, [{"status_list": REFERENCE}]),
    {"status_list": REFERENCE, "more": 1},
    *({"status_list": reference} for reference in NO_REFERENCES),
]


@pytest.mark.parametrize("status", NO_STATUS, ids=in_words)
def test_a_status_of_another_form_is_no_reference(status):
    assert not status_list.is_status_claim(status)


def test_of_many_who_take_a_place_at_once_each_gets_another(app):
    def take(_):
        with app.app_context():
            return [status_list.allocate_index() for _ in range(10)]

    with ThreadPoolExecutor(4) as pool:
        taken = [place for places in pool.map(take, range(4)) for place in places]
    assert sorted(taken) == list(range(1, 41))
