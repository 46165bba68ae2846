"""Folders of the null model (see `tests.blocks`), one of them with refusals and failures."""

import pyarrow as pa
import pytest

from engine.store.parts import write_outcomes
from tests.blocks import attempt, block, folder

__all__ = ["attempt", "block", "filled", "folder"]

ROWS = 60


def recorded(table, reasons):
    """The outcomes with these gate reasons on the first row."""
    at = table.schema.get_field_index("rejects")
    values = [reasons, *[None] * (table.num_rows - 1)]
    return table.set_column(
        at, table.schema.field(at), pa.array(values, table.schema.field(at).type)
    )


@pytest.fixture
def filled(folder, attempt, plan, block):
    """Sixty rows, three refusals, four dead letters."""
    table = recorded(block(0, ROWS), ["blurred", "blurred", "copy"])
    write_outcomes(folder, attempt.number, plan.fingerprint, table)
    write_outcomes(folder, attempt.number, plan.fingerprint, block(ROWS, ROWS + 4, dead=True))
    return folder
