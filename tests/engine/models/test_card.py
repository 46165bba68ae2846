"""One reader of cards: what a card promises is compared with the files beside it, everywhere."""

from __future__ import annotations

import json
import os

import pytest

from engine.models.card import (
    CARD,
    PRIVACY,
    finished_card,
    hash_folder,
    read_card,
    verified_card,
    write_card,
)
from engine.schema import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "part/config.json").write_text('{"width": 4, "_name_or_path": "/home/me"}')
    write_card(tmp_path, {"name": "some", "steps": 3})
    return tmp_path


def test_a_card_names_the_hash_of_what_lies_beside_it(folder):
    card = verified_card(folder)
    assert card.sha256 == card.facts["weights_sha256"] == hash_folder(folder)
    assert (card.facts["name"], card.facts["steps"]) == ("some", 3)
    assert finished_card(folder) == card
    assert "/home/me" not in (folder / "part/config.json").read_text()


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("model.safetensors", True),
        ("part/more.json", True),
        ("words.txt", True),
        ("pipeline.py", False),
        (PRIVACY, False),
        ("private/key.txt", False),
    ],
)
def test_all_that_draws_and_nothing_else_is_promised(folder, name, counts):
    before = hash_folder(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"other")
    assert (hash_folder(folder) != before) is counts
    if counts:
        words = rf"{CARD}: weights_sha256: the weights are not those.*expected {before}"
        with pytest.raises(UserError, match=words):
            verified_card(folder)


def test_a_moved_file_is_another_folder(folder):
    (folder / "model.safetensors").rename(folder / "part/model.safetensors")
    with pytest.raises(UserError, match="not those"):
        finished_card(folder)


def test_a_folder_without_a_promise_is_taken_but_is_no_finished_model(folder):
    (folder / CARD).write_text('{"name": "mine"}')
    assert verified_card(folder).facts == {"name": "mine"}
    with pytest.raises(UserError, match="names no weights"):
        finished_card(folder)
    (folder / CARD).unlink()
    assert verified_card(folder).facts == read_card(folder) == {}
    with pytest.raises(UserError, match="names no weights"):
        finished_card(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"card"', "[" * 100_000, "\xff"])
def test_what_is_no_card_is_told_by_its_file(folder, text):
    (folder / CARD).write_bytes(text.encode("latin-1"))
    for read in (read_card, verified_card, finished_card):
        with pytest.raises(UserError, match=f"{CARD}: was cut or changed"):
            read(folder)


def test_a_pipe_in_the_place_of_a_card_holds_nobody(folder):
    (folder / CARD).unlink()
    os.mkfifo(folder / CARD)
    for read in (read_card, verified_card):
        with pytest.raises(UserError, match="is a pipe"):
            read(folder)


def test_a_card_is_written_as_it_was_read(folder):
    facts = {**read_card(folder), "label": "é", "figures": [1.5, None]}
    write_card(folder, facts)
    assert read_card(folder) == facts
    assert json.loads((folder / CARD).read_text())["label"] == "é"
