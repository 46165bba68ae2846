"""The last line of a card ties it to what it tells of."""

from __future__ import annotations

import pytest

from engine.store.commits import CARD, CROISSANT, put, take_attempt
from engine.store.parts import write_outcomes
from engine.store.seal import LINE, digest, is_sealed, is_stale


@pytest.fixture
def sealed(folder, attempt, plan, block):
    write_outcomes(folder, attempt.number, plan.fingerprint, block(0, 5))
    put(folder, attempt.number, CROISSANT, "{}\n")
    seal(folder, attempt, digest(folder, b"{}\n", plan.license))
    return folder


def seal(folder, attempt, made_from):
    put(folder, attempt.number, CARD, "# Eyes\n\n" + LINE.format(digest=made_from))


def standing(folder):
    return is_sealed(folder), is_stale(folder)


def test_a_card_is_sealed_until_rows_come_to_it(sealed, attempt, plan, block):
    assert standing(sealed) == (True, False)
    write_outcomes(sealed, attempt.number, plan.fingerprint, block(5, 9))
    assert standing(sealed) == (False, True)


@pytest.mark.parametrize("what", ["letters", "count", "croissant", "no croissant"])
def test_a_card_is_stale_once_what_it_tells_of_is_other(sealed, attempt, plan, block, what):
    if what == "letters":
        write_outcomes(sealed, attempt.number, plan.fingerprint, block(5, 6, dead=True))
    elif what == "count":
        take_attempt(sealed, 101)
    elif what == "croissant":
        put(sealed, attempt.number, CROISSANT, "{} \n")
    else:
        sealed.place.delete(CROISSANT)
    assert standing(sealed) == (False, True)


def test_words_that_a_user_adds_are_the_users(sealed):
    card = sealed.root / CARD
    card.write_text("# Mine\n" + card.read_text())
    assert standing(sealed) == (True, False)


def test_a_card_without_a_seal_and_none_say_nothing(sealed):
    (sealed.root / CARD).write_text("# Eyes\n")
    assert standing(sealed) == (False, False)
    sealed.place.delete(CARD)
    assert standing(sealed) == (False, False)


def test_a_card_from_before_versions_stays_true(sealed, attempt):
    older = digest(sealed, b"{}\n", None)
    put(sealed, attempt.number, CARD, f"# Eyes\n\n<!-- made from {older} -->\n")
    assert standing(sealed) == (True, False)


def test_a_folder_in_the_place_of_the_card_is_stale(sealed):
    sealed.place.delete(CARD)
    (sealed.root / CARD).mkdir()
    assert standing(sealed) == (False, True)
