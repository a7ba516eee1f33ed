"""The whole body of a request that aiohttp reads, or the sentence of why there is none."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from reference_server.connections import receive_due_s
from reference_server.errors import BadRequest, Malformed, too_slow
from reference_server.settings import ServerSettings

__all__ = ["read_body"]


async def read_body(request: web.BaseRequest, settings: ServerSettings) -> bytes:
    """Return the whole body. Raises BadRequest, and what a client that hangs up raises."""
    limit, timeout_s = settings.body_limit, settings.receive_timeout_s
    try:
        if (request.content_length or 0) > limit:
            raise web.HTTPRequestEntityTooLarge(limit)
        async with asyncio.timeout_at(receive_due_s(request)):
            if hdrs.EXPECT in request.headers and not request.content.is_eof():
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return await request.read()
    except TimeoutError:
        raise too_slow(timeout_s) from None
    except web.HTTPRequestEntityTooLarge:
        raise BadRequest(f"The body may have at most {limit} bytes.", Malformed.TOO_LARGE) from None
    except web.RequestPayloadError:
        request.content.feed_eof()  # else aiohttp reads on, and logs the same error once more
        sentence = "The body does not match its Content-Encoding or Transfer-Encoding."
        raise BadRequest(sentence, Malformed.UNDECODABLE) from None
