"""What the user sees while a run goes on: a bar on a terminal, plain lines in a batch log."""

from contextlib import contextmanager
import sys
import time

SILENCE = 10.0  # seconds between two lines of a batch log


class Plain:
    """One line a stage, and a line every few seconds while the screw is loaded."""

    def __init__(self, name):
        self.name, self.last = name, 0.0

    def stage(self, text):
        print(f"{self.name}: {text}", flush=True)

    def step(self, record):
        now = time.monotonic()
        if now - self.last >= SILENCE or record["progress"] >= 1:
            self.last = now
            print(f"{self.name}: {_text(record)}", flush=True)


class Bar:
    """A progress bar of rich with step, displacement, force and the time left."""

    def __init__(self, name, bar):
        self.name, self.bar, self.task = name, bar, bar.add_task(name, total=1.0, text="")

    def stage(self, text):
        self.bar.update(self.task, text=text)

    def step(self, record):
        self.bar.update(self.task, completed=record["progress"], text=_text(record))


def _text(record):
    what = record.get("stage") or (f"{record['cycles']:.0f} cycles" if "cycles" in record else f"step {record['step']}")
    text = f"{what}, {record['displacement_mm']:.3f} mm, {record['force_N']:.0f} N"
    left = time_left(record)
    return text if left is None else f"{text}, {_clock(left)} left at most"


def time_left(record):
    """Seconds until the largest displacement is reached at the pace so far; None before there is a pace."""
    done = record["progress"]
    return record["seconds"] * (1 - done) / done if 0.01 < done < 1 else None


def _clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02d}"


@contextmanager
def progress(name):
    """A Bar on a terminal, Plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield Plain(name)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    words = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[text]}"))
    columns = SpinnerColumn(), next(words), BarColumn(20), next(words)
    with Progress(*columns, transient=True) as bar:
        yield Bar(name, bar)
