"""Labels and source as tokens. Each has a learned null, so partly labelled images train them and
any subset conditions a sample.

Model folders name this class by this module: neither can be called otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from engine.schema import LABELS, SOURCES, Annotation

UNKNOWN = -1
"""The value of an unknown label or source in a batch of label values."""


class LabelEncoder(ModelMixin, ConfigMixin):
    """Label values (B, L + 1) to tokens (B, L + 1, width): one embedding for each value, null
    included.

    The last column is the source. `sources` names those that the model knows, in the order of its
    values.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, width: int = 256, sources: tuple[str, ...] = SOURCES) -> None:
        super().__init__()
        counts = [label.highest + 1 for label in LABELS] + [len(sources)]
        self.tables = nn.ModuleList([nn.Embedding(count + 1, width) for count in counts])
        # A value that no photograph taught stays what unknown is, rather than noise.
        for table in self.tables:
            nn.init.zeros_(table.weight[:-1])

    def knowing(self, sources: Sequence[str]) -> LabelEncoder:
        """This encoder if it knows all these sources, or one that knows them too; what they do to
        a sample is still to be learned."""
        missing = tuple(source for source in sources if source not in self.config.sources)
        if not missing:
            return self
        wider = LabelEncoder(self.config.width, (*self.config.sources, *missing))
        known = self.state_dict()
        last = f"tables.{len(LABELS)}.weight"
        old, new = known[last], wider.state_dict()[last]
        known[last] = torch.cat([old[:-1], new[len(old) - 1 : -1].to(old), old[-1:]])
        wider.load_state_dict(known)
        return wider

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Values: (B, L + 1) int64, `UNKNOWN` where unknown; gives (B, L + 1, width)."""
        columns = []
        for table, column in zip(self.tables, values.unbind(1), strict=True):
            null = table.weight[-1]
            known = (column != UNKNOWN)[:, None]
            columns.append(null + known * table(column.clamp_min(0)))
        return torch.stack(columns, 1)

    def values(self, annotations: Sequence[Annotation]) -> torch.Tensor:
        """Annotations as label values (B, L + 1); a source that the model does not know is
        unknown."""
        known = {name: i for i, name in enumerate(self.config.sources)}
        rows = []
        for annotation in annotations:
            labels = [UNKNOWN if v is None else v for v in annotation.labels().values()]
            rows.append([*labels, known.get(annotation.source or "", UNKNOWN)])
        return torch.tensor(rows, dtype=torch.int64)
