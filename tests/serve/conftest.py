"""What the tests of commands share: a command line without a process of its own."""

from __future__ import annotations

import sys

import pytest

from serve import cli


@pytest.fixture
def retinaforge(monkeypatch, capsys):
    """retinaforge(*arguments) -> (exit code, standard output, standard error)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["retinaforge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.run()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call
