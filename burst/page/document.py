"""One self-contained HTML document: style, scripts and data inside, nothing fetched."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

# No request ever leaves the page: what is not inline is refused by the browser itself.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def _asset(name: str) -> str:
    return files("burst.page").joinpath(name).read_text(encoding="utf-8")


def embed_json(data: Any) -> str:
    """Return JSON that may stand inside a script element, whatever texts it holds."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def document(title: str, body: str, data: Any) -> str:
    """Return the whole page. ``body`` is HTML whose texts are escaped already; ``data`` is what charts.js draws."""
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title>"
        f"<style>{_asset('vendor/uPlot.min.css')}\n{_asset('style.css')}</style></head>\n"
        f"<body>{body}\n"
        f'<script type="application/json" id="data">{embed_json(data)}</script>\n'
        f"<script>{_asset('vendor/uPlot.iife.min.js')}</script>\n"
        f"<script>{_asset('charts.js')}</script>\n"
        "</body></html>\n"
    )


def table(caption: str, head: list[str], rows: list[list[str]], *, css: str = "") -> str:
    """Return a table of texts; a cell that begins with ``<`` is HTML already, others are escaped."""

    def cell(tag: str, text: str, scope: str = "") -> str:
        return f"<{tag}{scope}>{text if text.startswith('<') else escape(text)}</{tag}>"

    body = "".join(
        "<tr>" + cell("th", row[0], ' scope="row"') + "".join(cell("td", text) for text in row[1:]) + "</tr>"
        for row in rows
    )
    top = "".join(cell("th", text, ' scope="col"') for text in head)
    return (
        f'<div class="scroll"><table class="{css}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def bar(share: float, text: str) -> str:
    """Return a bar of ``share`` (0..1) of its cell with a text on it."""
    width = max(0.0, min(1.0, share)) * 100
    return f'<span class="bar"><i style="width:{width:.1f}%"></i><b>{escape(text)}</b></span>'


def chart(name: str, title: str, summary: str, more: str = "") -> str:
    """Return the place of a chart that charts.js fills; ``summary`` says in words what it shows."""
    return (
        f'<figure class="chart"><figcaption><h2>{escape(title)}</h2><p>{escape(summary)}</p></figcaption>'
        f'<div id="{name}" role="img" aria-label="{escape(title)}: {escape(summary)}"></div>{more}</figure>'
    )
