"""`doctor`: is this machine fit for it?"""

from __future__ import annotations

import json

import typer

from serve.commands._options import Json
from serve.declared import AsJob

AS_JOB = AsJob(never="it looks at this machine")
EXAMPLE = "retinaforge doctor --json"


def doctor(as_json: Json = False) -> None:
    """What this machine can run, what is missing, what clashes.

    Exit 1 if something clashes.
    """
    from serve.doctor import examine, show

    findings = examine()
    if as_json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=1))
    else:
        show(findings)
    raise typer.Exit(int(any(finding.state == "clash" for finding in findings)))
