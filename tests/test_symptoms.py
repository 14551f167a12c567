"""Every symptom that a name tells is one of the list, and each of the list is shown, or said to be still open."""

from tests.symptoms import OPEN, SYMPTOMS, shown


def test_every_symptom_that_a_name_tells_stands_in_the_list() -> None:
    assert shown().keys() - SYMPTOMS.keys() == set()


def test_every_symptom_is_shown_or_said_to_be_open() -> None:
    assert {number for number, places in shown().items() if not places} <= OPEN.keys()
