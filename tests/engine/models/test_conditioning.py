"""Labels and source as tokens: a null for each, and nothing said by what nothing taught."""

from __future__ import annotations

import torch

from engine.models.conditioning import UNKNOWN, LabelEncoder
from engine.schema import LABEL_NAMES, Annotation


def test_every_value_and_every_null_has_a_token_of_its_own():
    encoder = LabelEncoder(width=8, sources=("idrid", "hrf"))
    for table in encoder.tables:
        torch.nn.init.normal_(table.weight)
    for name in LABEL_NAMES:
        rows = [Annotation(), Annotation(**{name: 0}), Annotation(**{name: 1})]
        tokens = encoder(encoder.values(rows))
        differs = [(tokens[i] != tokens[j]).any(-1).sum() for i, j in ((0, 1), (0, 2), (1, 2))]
        assert differs == [1, 1, 1], f"{name}: one token differs between unknown, 0 and 1"


def test_a_value_that_nothing_taught_says_what_unknown_says():
    encoder = LabelEncoder(width=8, sources=("idrid",))
    told = encoder(encoder.values([Annotation(is_gc=1, dr_grade=4, source="idrid"), Annotation()]))
    assert torch.equal(told[0], told[1])


def test_an_unknown_source_is_the_null_source():
    encoder = LabelEncoder(width=8, sources=("idrid",))
    values = encoder.values([Annotation(source="elsewhere"), Annotation(source="idrid")])
    assert values[0, -1] == UNKNOWN
    assert values[1, -1] == 0


def test_the_null_is_learned():
    encoder = LabelEncoder(width=8)
    encoder(encoder.values([Annotation()])).sum().backward()
    assert all(t.weight.grad[-1].ne(0).any() for t in encoder.tables)


def test_an_encoder_that_learns_of_more_sources_says_of_the_known_what_it_said():
    encoder = LabelEncoder(width=8, sources=("idrid",))
    for table in encoder.tables:
        torch.nn.init.normal_(table.weight)
    assert encoder.knowing(["idrid"]) is encoder
    wider = encoder.knowing(["hrf", "idrid"])
    assert tuple(wider.config.sources) == ("idrid", "hrf")
    for source in ("idrid", None):
        asked = [Annotation(dr_grade=2, source=source)]
        assert torch.equal(wider(wider.values(asked)), encoder(encoder.values(asked)))
    new, unknown = wider(wider.values([Annotation(source="hrf"), Annotation()]))
    assert torch.equal(new, unknown), "what it does to a sample is still to be learned"
