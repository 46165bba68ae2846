"""Kinds of work on a data set folder: each plans from an ask and what exists, says what it needs,
and names the stage that makes its rows; `run` carries any of them out."""
