"""Filled templates: others' words are text in HTML, and nothing is left out in silence."""

from __future__ import annotations

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from engine.publish import pages
from engine.publish.pages import TEMPLATES, filled


@pytest.fixture
def written(tmp_path, monkeypatch):
    """written(name, text): a template of that name."""
    monkeypatch.setattr(pages, "TEMPLATES", tmp_path)
    pages._environment.cache_clear()
    yield lambda name, text: (tmp_path / name).write_text(text)
    pages._environment.cache_clear()


def test_html_is_escaped_and_markdown_is_as_it_stands(written):
    for name in ("a.html", "a.md"):
        written(name, "{{ words }}\n")
    assert filled("a.html", words="<b>") == "&lt;b&gt;"
    assert filled("a.md", words="<b>") == "<b>\n"


def test_markdown_has_filters_for_what_is_not_ours(written):
    written("a.md", "{{ a|plain }} {{ a|quoted }} {{ n|grouped }}")
    assert filled("a.md", a="a|b", n=1234567) == 'a&#124;b "a|b" 1,234,567'


def test_words_in_braces_are_words(written):
    written("a.md", "{{ words }}")
    assert filled("a.md", words="{{ 7 * 7 }} {% for %}") == "{{ 7 * 7 }} {% for %}"


def test_a_value_that_is_not_given_is_an_error(written):
    written("a.md", "{{ words }}")
    with pytest.raises(UndefinedError, match="words"):
        filled("a.md")
    with pytest.raises(TemplateNotFound):
        filled("b.md")


def test_the_templates_travel_with_the_package():
    here = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.*")}
    assert {"report.html", "drawn/card.md", "captioned/export.md"} <= here
