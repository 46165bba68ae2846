"""The way to a cluster's job server: a token goes to it alone, by no proxy on this machine, and
never in the clear to another unless the user says so."""

from __future__ import annotations

import logging
import os
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from engine import loopback
from engine.schema import UserError
from engine.stages.cluster import TOKEN

HERE = "http://127.0.0.1:8265"
PORTS = {"http": 80, "https": 443}
EXPECTED = "http://HOST:8265, the head's dashboard (perhaps through a tunnel)"
SAFELY = (
    "https://, a tunnel (ssh -L 8265:localhost:8265 HOST, then --address http://127.0.0.1:8265), "
    "or --allow-plain where the network is yours"
)
NO_PROXY = {"http": "", "https": "", "all": ""}
"""To requests an empty address is no proxy, and what is given stands before the environment."""
CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers that tell of every step of a submission, and advise to leave our weights behind."""


class Client(JobSubmissionClient):
    """Ray's client, which goes where it was sent and nowhere else: `here` past every proxy of the
    environment, and nobody's redirection takes the token along."""

    def __init__(self, address: str, here: bool) -> None:
        self._proxies = NO_PROXY if here else None
        super().__init__(address)

    def _do_request(self, method: str, endpoint: str, **given: Any) -> Any:
        answer = super()._do_request(
            method, endpoint, allow_redirects=False, proxies=self._proxies, **given
        )
        if answer.is_redirect:
            raise UserError(
                f"{self._address} sends us on to {answer.headers['Location']}",
                field="--address",
                expected="that server's own address, if you trust it",
            )
        return answer


def client_of(address: str | None, allow_plain: bool = False) -> Client:
    """Ray's client of the job server at http://HOST:8265. Raises UserError if none answers, and for
    a token that would leave this machine unencrypted.
    """
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    address = address or os.environ.get("RAY_ADDRESS") or HERE
    parts = _read(address)
    port = parts.port or PORTS[parts.scheme]
    here = loopback.names_here(str(parts.hostname), port)
    secret = bool(parts.password) or _has_token()
    if secret and parts.scheme == "http" and not (here or allow_plain):
        raise UserError(
            f"{parts.hostname} is another machine: the token would travel unencrypted",
            field="--address",
            expected=SAFELY,
        )
    try:
        return Client(address, here)
    except ConnectionError as error:
        raise UserError(
            f"no job server answers at {address}", field="--address", expected=EXPECTED
        ) from error
    except AuthenticationError as error:
        refused = "Forbidden" in str(error)
        raise UserError(
            f"{address} {'refuses this token' if refused else 'wants a token'}", expected=TOKEN
        ) from error
    except RuntimeError as error:
        raise UserError(str(error).strip().split("\n")[0], field="--address") from error


def _has_token() -> bool:
    """Whether Ray would send one; where it looks for one in vain, the server says what it wants."""
    try:
        return bool(get_auth_headers_if_auth_enabled({}))
    except AuthenticationError:
        return False


def _read(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        known = parts.scheme in PORTS and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise UserError(f"{address!r} is no job server's", field="--address", expected=EXPECTED)
    return parts
