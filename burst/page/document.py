"""One self-contained HTML document: style, scripts and data inside, nothing fetched."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from burst.page.elements import Html, html

# No request ever leaves the page: what is not inline is refused by the browser itself.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

# A canvas of one pixel a point prints blurred. uPlot reads the ratio when it loads, so this comes before it.
_CRISP = "if (devicePixelRatio < 2) window.devicePixelRatio = 2;"

# The tab shows the verdict too, by shape as well as by colour.
_ICONS = {
    "pass": ("#0b6b3f", "M9 17l5 5 10-12"),
    "fail": ("#b3201f", "M10 10l12 12M22 10L10 22"),
    "inconclusive": ("#8a5200", "M9 16h14"),
    "aborted": ("#47515d", "M11 11h10v10H11z"),
}


def document(title: str, body: Html, data: Any, *, icon: str = "aborted") -> str:
    """Return the whole page; ``data["charts"]`` is what charts.js draws, by the id of its place."""
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:image/svg+xml,{_icon(icon)}">\n'
        f"<title>{html(title)}</title>\n"
        f"<style>{_asset('vendor/uPlot.min.css')}\n{_asset('style.css')}</style></head>\n"
        f"<body>{body}\n"
        "<noscript><p>The charts need JavaScript; every number is in the tables.</p></noscript>\n"
        f'<script type="application/json" id="data">{embed_json(data)}</script>\n'
        f"<script>{_CRISP}</script>\n"
        f"<script>{_asset('vendor/uPlot.iife.min.js')}</script>\n"
        f"<script>{_asset('charts.js')}</script>\n"
        "</body></html>\n"
    )


def embed_json(data: Any) -> str:
    """Return JSON that may stand inside a script element, whatever texts it holds."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return files("burst.page").joinpath(name).read_text(encoding="utf-8")


def _icon(name: str) -> str:
    color, path = _ICONS[name]
    return quote(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect width="32" height="32" rx="7" fill="{color}"/>'
        f'<path d="{path}" fill="none" stroke="#fff" stroke-width="4"/></svg>'
    )
