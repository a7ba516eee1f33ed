"""A server's admin API and outcome reports, asked over HTTP: one connection for each question, JSON in and out."""

from __future__ import annotations

import http.client
import ipaddress
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from servecast.errors import CouldNotRun, OrderRefused, UsageError

__all__ = ["AdminClient"]

_TIMEOUT_S = 10.0


class AdminClient:
    """The server at an address, as in http://127.0.0.1:8080. Raises UsageError for what is none.

    Every method raises OrderRefused where the server refuses an order as things stand (409), UsageError for any other
    4xx, both with its sentence, and CouldNotRun if it does not answer, or not as a servecast server.
    """

    def __init__(self, url: str, token: str | None) -> None:
        shown = url if len(url) <= 80 else url[:77] + "..."
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            self._host = ""
        if not self._host or parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query:
            raise UsageError(f"--url must be of the form http://127.0.0.1:8080. Got {shown}")
        if parts.username is not None:
            raise UsageError("--url must not carry a user or a password: the token is what is asked for")
        self.url = url.rstrip("/")
        self._is_https = parts.scheme == "https"
        self._token = token

    @property
    def shows_token(self) -> bool:
        """Whether the token goes over a network where others can read it."""
        return self._token is not None and not self._is_https and not _is_this_machine(self._host)

    def get(self, path: str) -> dict[str, Any]:
        """Return what is told at a path."""
        return self._said("GET", path, *self._ask("GET", path, None))

    def find(self, path: str) -> dict[str, Any] | None:
        """Return what is told at a path, None where the server says that there is nothing."""
        status, content = self._ask("GET", path, None)
        return None if status == http.client.NOT_FOUND else self._said("GET", path, status, content)

    def order(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Return the answer to an order."""
        return self._said("POST", path, *self._ask("POST", path, json.dumps(body).encode()))

    def _said(self, method: str, path: str, status: int, content: object) -> dict[str, Any]:
        if isinstance(content, dict) and status == http.client.OK:
            return content
        sentence = content.get("error") if isinstance(content, dict) else None
        if not isinstance(sentence, str):
            raise CouldNotRun(f"The server at {self.url} is no servecast server: {method} {path} answers {status}")
        if status == http.client.CONFLICT:
            raise OrderRefused(sentence)
        if status < http.client.INTERNAL_SERVER_ERROR:
            raise UsageError(sentence)
        raise CouldNotRun(sentence)

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, object]:
        """Return the status and the decoded body, None if it is no JSON."""
        kind = http.client.HTTPSConnection if self._is_https else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_TIMEOUT_S)
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            status, text = response.status, response.read()
        except http.client.HTTPException:
            raise CouldNotRun(f"The server at {self.url} gives no answer that is HTTP") from None
        except OSError as error:
            reason = (error.strerror or f"no answer within {_TIMEOUT_S:.0f} s").lower()
            raise CouldNotRun(f"The server at {self.url} cannot be reached: {reason}") from None
        finally:
            connection.close()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, None


def _is_this_machine(host: str) -> bool:
    """Return whether the host is the loopback of this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
