"""The servers that are compared: `python -m tests.benchmarks.served KIND` prints its address when it is ready.

Each takes the body of POST /predict and returns the same bytes. "application" is bare aiohttp as its users write it,
"low-level" is aiohttp without router, signals and Application, "servecast" is the reference server with a model that
costs nothing. With --samples FILE it writes on SIGUSR1 where its CPU time went (samples.py).
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable

from aiohttp import web

from policy import settings as rules
from reference_server.app import serve
from reference_server.replica_pool import FleetRules
from reference_server.settings import ServerSettings, VersionSettings
from tests.benchmarks.samples import Sampler
from tests.reference_server.gate import ECHO

__all__ = ["KINDS", "MAX_BATCH", "main"]

MAX_BATCH = 32


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="served")
    parser.add_argument("kind", choices=[*KINDS])
    parser.add_argument("--samples", help="file for where the CPU time went")
    options = parser.parse_args(arguments)

    def ready(url: str) -> None:
        print(url, flush=True)
        if options.samples is not None:
            Sampler().start(options.samples)

    KINDS[options.kind](ready)
    return 0


def _serve_application(ready: Callable[[str], None]) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), content_type="application/json")

    application = web.Application()
    application.router.add_post("/predict", echo)
    asyncio.run(_serve_until_told(web.AppRunner(application, access_log=None), ready))


def _serve_low_level(ready: Callable[[str], None]) -> None:
    async def echo(request: web.BaseRequest) -> web.Response:
        return web.Response(body=await request.read(), content_type="application/json")

    async def main() -> None:
        await _serve_until_told(web.ServerRunner(web.Server(echo, access_log=None)), ready)

    asyncio.run(main())


async def _serve_until_told(runner: web.BaseRunner, ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    ready(f"http://{host}:{port}")
    await stop.wait()
    await runner.cleanup()


def _serve_servecast(ready: Callable[[str], None]) -> None:
    fleet = FleetRules(
        rules.batching_rule(max_batch=MAX_BATCH, max_wait_ns=0),
        rules.admission_rule(cap=None),
        rules.deadline_rule(deadline_ns=None),
    )
    settings = ServerSettings(versions=(VersionSettings(fleet, {}, ECHO),), port=0)
    serve(settings, ready=ready)


KINDS = {"application": _serve_application, "low-level": _serve_low_level, "servecast": _serve_servecast}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
