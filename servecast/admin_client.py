"""What the command line says to the admin API of a server, and what it makes of the answers."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from servecast.errors import CouldNotRun, OrderRefused, UsageError

__all__ = ["AdminClient"]

_TIMEOUT_S = 10.0


class AdminClient:
    """One server, and the token with which it is asked. Raises UsageError for what is no address."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise UsageError(f"--url must be of the form http://127.0.0.1:8080. Got {url[:80]}")
        self._url = url.rstrip("/")
        self._token = token

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at a path. Raises as order() does."""
        return self._ask(Request(self._url + path))

    def order(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        """Send an order and return the answer.

        Raises OrderRefused with the server's sentence where it cannot be carried out, UsageError where it is wrong or
        the token is, CouldNotRun where no such server answers.
        """
        headers = {"Content-Type": "application/json"}
        return self._ask(Request(self._url + path, json.dumps(body).encode(), headers))

    def _ask(self, request: Request) -> dict[str, Any]:
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as response:
                content = _object(response.read())
        except HTTPError as error:
            raise self._refusal(error.code, error.read()) from None
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            words = getattr(reason, "strerror", None) or str(reason)
            raise CouldNotRun(f"the server at {self._url} cannot be reached: {words.lower()}") from None
        if content is None:
            raise self._no_servecast(HTTPStatus.OK)
        return content

    def _refusal(self, status: int, body: bytes) -> Exception:
        """Return what is raised for an answer that is none of success."""
        content = _object(body)
        sentence = content.get("error") if content is not None else None
        if not isinstance(sentence, str):
            return self._no_servecast(status)
        if status == HTTPStatus.CONFLICT:
            return OrderRefused(sentence)
        return UsageError(sentence) if status < HTTPStatus.INTERNAL_SERVER_ERROR else CouldNotRun(sentence)

    def _no_servecast(self, status: int) -> CouldNotRun:
        return CouldNotRun(f"the server at {self._url} is no servecast server: it answers {int(status)}")


def _object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a body, None if it is none."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
