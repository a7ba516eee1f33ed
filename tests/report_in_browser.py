"""Open reports in a real browser, offline: each must ask for nothing but itself, say nothing, and fit every screen.

Run by `make report-check`. The pictures that it leaves, in light, in dark, on a telephone and as a grey print, are for
eyes: what is ugly is found by looking.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1040, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1040, "height": 800}},
    "telephone": {"color_scheme": "light", "viewport": {"width": 375, "height": 720}},
    "print": {"color_scheme": "light", "viewport": {"width": 794, "height": 1123}},
}
"""How a page is looked at; the last is A4 at 96 dots per inch."""

COVER = {"width": 1040, "height": 1480}

WIDER_THAN_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
WITHOUT_NAME = "document.querySelectorAll('svg:not([aria-label]), img:not([alt]), th:not([scope])').length"
SCRIPTS = "document.scripts.length"
UNRESOLVED = """[...document.querySelectorAll('svg *')].filter(each => [...each.attributes].some(
    about => [...about.value.matchAll(/url\\(#([^)]+)\\)/g)].some(found => !document.getElementById(found[1]))
        || (about.name.endsWith('href') && !document.getElementById(about.value.slice(1))))).length"""


def main() -> int:
    """Look at each file in every way; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--browser", required=True, help="the program of Chromium")
    parser.add_argument("--into", type=Path, required=True, help="the folder of the pictures")
    parser.add_argument("--cover", type=Path, help="a picture of how the first one begins")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])
        for file in options.files:
            for look in LOOKS:
                found = faults(browser, file.resolve(), look, options.into)
                wrong += [f"{file}, {look}: {fault}" for fault in found]
        if options.cover is not None:
            page = browser.new_page(viewport=COVER)
            page.goto(options.files[0].resolve().as_uri())
            page.screenshot(path=options.cover)
        browser.close()
    print("\n".join(wrong) or f"{len(options.files)} reports in {len(LOOKS)} ways: nothing asked for, nothing said.")
    return bool(wrong)


def faults(browser: Any, file: Path, look: str, into: Path) -> list[str]:
    """Return what is wrong with a page in one look, and keep its picture."""
    context = browser.new_context(offline=True, **LOOKS[look])
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"it says on the console: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"an error: {error}"))
    page.on("request", lambda request: said.append(f"it asks for {request.url}") if asks(request.url, file) else None)
    page.goto(file.as_uri())
    if look == "print":
        page.emulate_media(media="print")
        grey = {"type": "achromatopsia"}
        context.new_cdp_session(page).send("Emulation.setEmulatedVisionDeficiency", grey)
    page.wait_for_timeout(200)
    page.screenshot(path=into / f"{file.stem}-{look}.png", full_page=True)
    if page.evaluate(WIDER_THAN_SCREEN):
        said.append("it is wider than the screen")
    for what, count in (("scripts", SCRIPTS), ("parts without a name", WITHOUT_NAME), ("lost references", UNRESOLVED)):
        if page.evaluate(count):
            said.append(f"it has {what}")
    context.close()
    return said


def asks(url: str, file: Path) -> bool:
    """Return whether a request is for anything but the page itself."""
    return url != file.as_uri() and not url.startswith("data:")


if __name__ == "__main__":
    sys.exit(main())
