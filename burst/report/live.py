"""The run as it goes, on standard error: a bar on a terminal, a line a phase elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from burst.measure.headway import Seen
from burst.model.units import NS_PER_S, format_count, format_rate

_REDRAW_S = 0.1
TELL_EVERY_NS = 5 * NS_PER_S  # where there is no bar: often enough to see that it lives, seldom enough for a log


class PatientConsole(Console):
    """A console whose reader may leave: rich would end the program, in the middle of a burst."""

    def on_broken_pipe(self) -> None:
        """Say nothing more, and go on."""
        self.quiet = True


class _People(ProgressColumn):
    """``1,234,567 / 4,000,000``."""

    def render(self, task: Task) -> Text:
        total = "?" if task.total is None else format_count(int(task.total))
        return Text(f"{format_count(int(task.completed)):>11} / {total}", style="bold")


class LiveView:
    """Shows a run to a person. Close it before printing anything else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._task = 0
        self._drawn_s = 0.0
        self._phase_began_s = time.monotonic()
        self._counted = -1
        self._told_ns = 0
        self._waited = False

    def _bar(self, label: str, total: float | None) -> None:
        self.close()
        if not self._console.is_terminal:
            return
        self._bars = Progress(
            TextColumn("{task.description:<9}", style="bold cyan"),
            BarColumn(bar_width=None, complete_style="green", finished_style="bold green"),
            _People(),
            TextColumn("{task.fields[more]}"),
            console=self._console,
            auto_refresh=False,
            expand=True,
        )
        self._bars.start()
        self._task = self._bars.add_task(label, total=total, more="")

    def _move(self, completed: int, total: int | None, more: str) -> None:
        if self._bars is None:
            return
        now_s = time.monotonic()
        done = total is not None and completed >= total
        if now_s - self._drawn_s >= _REDRAW_S or done:
            self._drawn_s = now_s
            self._bars.update(self._task, completed=completed, total=total, more=more, refresh=True)  # type: ignore[arg-type]

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, highlight=False)

    def phase(self, name: str, text: str) -> None:
        """Show that a phase begins."""
        self._phase_began_s = time.monotonic()
        if name == "drain":
            self._bar("GO", None)
            if self._bars is None:
                self._say("GO")
        elif name == "stage" and "staging" in text:
            self._bar("staging", None)
        elif name != "report":
            self.close()
            self._say(f"{name:<9} {text}", style="dim")

    def staged(self, people: int, of: int | None) -> None:
        """Move the bar of staging."""
        took_s = time.monotonic() - self._phase_began_s
        rate = format_rate(people / took_s) if took_s > 0 else ""
        self._move(people, of, rate)
        if people == of:
            if self._bars is None:
                self._say(f"{'staged':<9} {format_count(people)} people at {rate}")
            self.close()

    def armed(self, ready: int, of: int) -> None:
        """Say so when another worker is ready."""
        if ready != self._counted:
            self._counted = ready
            self._say(f"{'armed':<9} {ready} of {of} worker(s)", style="dim")

    def countdown(self, left_ns: int) -> None:
        """Count the seconds down."""
        seconds = -(-left_ns // NS_PER_S)
        if seconds != self._counted and (seconds <= 10 or seconds % 10 == 0):
            self._counted = seconds
            self._say(f"{'':<9} T-{seconds} s", style="bold yellow")

    def delivered(self, seen: Seen, of: int, elapsed_ns: int) -> None:
        """Move the bar of the burst; without one, say from time to time how far it is."""
        share = seen.accepted / of if of else 0.0
        told = f"T+{max(elapsed_ns, 0) / NS_PER_S:.1f} s  {share:.1%} accepted"
        how = " in finished batches" if seen.by_batch else ""
        self._move(seen.settled, of, told + how)
        if seen.waiting and not self._waited:
            self.note(seen.waiting)  # once for each standstill: the line that a bar has is too short for it
        self._waited = bool(seen.waiting)
        if self._bars is None and elapsed_ns - self._told_ns >= TELL_EVERY_NS:
            self._told_ns = elapsed_ns
            waiting = f"; {seen.waiting}" if seen.waiting else ""
            settled = f"{format_count(seen.settled)} of {format_count(of)} settled{how}"
            self._say(f"{'':<9} {told}, {settled}{waiting}")

    def note(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self._console.print(f"{'note':<9} {text}", style="yellow", highlight=False)

    def close(self) -> None:
        """Leave the bar as it stands. Safe to call twice."""
        if self._bars is not None:
            self._bars.refresh()
            self._bars.stop()
            self._bars = None
