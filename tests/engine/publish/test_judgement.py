"""The judge's report: every figure stands in it with its interval or its reason, and nothing in it
comes from elsewhere."""

from __future__ import annotations

import re

import pytest

from engine.evaluate.figures import Figure, without
from engine.publish.judgement import line, page, write_pdf
from engine.schema import UserError

FIGURES = [
    Figure("authenticity.fd", 3.5, 3.0, 4.0, 80, floor=1.2, control=8.0),
    Figure("privacy.copies_pixels", 0.0, 0.0, 0.04, 80, floor=0.01),
    without("utility.dr", "the class <b>is absent</b>"),
]
LINEAGE = [
    {"name": "tiny", "weights_sha256": "ab" * 32, "photographs": 473, "named": 473,
     "parents": [], "seen_in_test": 0},
    {"name": "lost", "weights_sha256": None, "photographs": None, "named": 0,
     "parents": [], "seen_in_test": None},
]  # fmt: skip


@pytest.fixture(scope="module")
def html():
    return page("eyes", "labels.csv", True, FIGURES, LINEAGE)


def test_each_figure_stands_with_its_interval_or_its_reason(html):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    assert "3.50 (3.00 to 4.00)" in text
    assert "floor 1.20, control 8.00" in text
    assert "2 of 3 figures could be estimated" in text
    assert "not estimable: the class &lt;b&gt;is absent&lt;/b&gt;" in text
    assert "intervals are wide" in text


def test_the_scorecard_is_empty_where_nothing_was_measured(html):
    compliance, completeness = (
        re.search(rf"<strong>{name}</strong>.*?</tr>", html, re.DOTALL)[0]
        for name in ("Compliance", "Completeness")
    )
    assert "privacy.copies_pixels 0.00" in compliance
    assert "not measured" in completeness


def test_who_is_unknown_is_said(html):
    assert "nobody can tell" in html
    assert "unknown" in html


def test_a_page_asks_nobody_for_anything(html):
    assert not re.search(r"(?:src|href)=|url\(|https?:|@import", html)
    assert "default-src 'none'" in html


def test_places_lie_on_one_scale():
    found = line(FIGURES[0])
    assert found.floor < found.bar[0] < found.at < sum(found.bar) < found.control == 100
    assert 0 <= line(FIGURES[1]).at <= line(FIGURES[1]).floor <= 100
    below = line(Figure("a.b", -0.5, -0.6, -0.4, 3))
    assert 0 == below.bar[0] < below.at


def test_a_pdf_is_one(html, tmp_path):
    try:
        write_pdf(html, tmp_path / "judgement.pdf")
    except UserError as error:
        pytest.skip(str(error))
    assert (tmp_path / "judgement.pdf").read_bytes().startswith(b"%PDF-")
