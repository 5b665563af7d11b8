"""The parts pages are put together from. Text is escaped unless it is ``Html``: nothing else is trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def join(parts: Iterable[str]) -> Html:
    """Return parts one after another, each escaped unless it is Html."""
    return Html("".join(html(part) for part in parts))


def html(text: str) -> Html:
    """Return ``text`` as HTML."""
    return text if isinstance(text, Html) else Html(escape(text, quote=True))


def tag(name: str, *content: str, **attributes: str) -> Html:
    """Return an element. ``class_`` stands for class, other underscores for hyphens; empty attributes are left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html(value)}"' for key, value in attributes.items() if value
    )
    return Html(f"<{name}{given}>{join(content)}</{name}>")


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, css: str = "", quiet: bool = False
) -> Html:
    """Return a table whose first column heads its rows. A ``quiet`` caption is for screen readers alone."""
    top = join(tag("th", cell, scope="col") for cell in head)
    body = join(tag("tr", tag("th", row[0], scope="row"), join(tag("td", cell) for cell in row[1:])) for row in rows)
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption, class_="quiet" if quiet else ""),
            tag("thead", tag("tr", top)) if any(head) else Html(""),
            tag("tbody", body),
            class_=css,
        ),
        class_="scroll",
        # A region that scrolls must be reachable by keyboard.
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def bar(share: float, text: str, *, css: str = "") -> Html:
    """Return a text over a bar of ``share`` (0..1) of its cell."""
    width = 100 * max(0.0, min(1.0, share))
    fill = tag("i", style=f"width:{width:.1f}%")
    return tag("span", fill, tag("b", text), class_=f"bar {css}".rstrip())


def details(summary: str, *content: str) -> Html:
    """Return content that is folded away."""
    return tag("details", tag("summary", summary), *content)


def section(title: str, *content: str, css: str = "") -> Html:
    """Return a section under its heading."""
    return tag("section", tag("h2", title), *content, class_=css)


def chart(name: str, title: str, summary: str, *more: str, css: str = "") -> Html:
    """Return the place of a chart that charts.js fills; ``summary`` says in words what it shows."""
    place = tag("div", id=name, class_="plot", role="img", aria_label=f"{title}: {summary}")
    caption = tag("figcaption", tag("h2", title), tag("p", summary))
    return tag("figure", caption, place, *more, class_=f"chart {css}".rstrip())
