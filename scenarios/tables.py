"""Tables as CSV and Markdown that say how they were made. Standard library only: performance/run.py needs them outside
the environment as well."""

import csv
import datetime
import os
import shlex
import sys
from pathlib import Path


def write(path, rows, title, text=""):
    """Write rows (dicts) as `path`.csv and `path`.md; the latter with title, text and where the numbers come from."""
    path = Path(path)
    write_csv(path, rows)
    lines = [f"# {title}", made_by(), text.strip(), markdown(rows)]
    path.with_suffix(".md").write_text("\n\n".join(line for line in lines if line) + "\n")


def write_csv(path, rows):
    """Write rows (dicts) as `path`.csv; a column that a row does not have stays empty."""
    with open(Path(path).with_suffix(".csv"), "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns(rows), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def columns(rows):
    """All keys of the rows in the order in which they appear."""
    return list(dict.fromkeys(k for row in rows for k in row))


def markdown(rows, names=None):
    """A Markdown table of `rows` (or of its columns `names`), numbers to four digits."""
    def cell(value):
        if isinstance(value, float):
            return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return "" if value is None else str(value)

    names = names or columns(rows)
    head = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(head + ["| " + " | ".join(cell(row.get(c)) for c in names) + " |" for row in rows])


def number(value, form=".3g"):
    """A number as a table shows it; a dash for none."""
    return "–" if value is None else f"{value:{form}}" if form != ".3g" or abs(value) < 100 else f"{value:.0f}"


def notes(script):
    """What `<script>_notes.md` beside the script says about its tables, '' without it: written by hand, kept apart."""
    file = Path(script).with_suffix("").with_name(Path(script).stem + "_notes.md")
    return file.read_text().strip() if file.exists() else ""


def made_by():
    """Where numbers come from: command, date, machine."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv]  # where things lay is the machine's own affair
    command = shlex.join(["python", "-m", spec.name, *words[1:]] if spec else ["python", *words])
    return f"Made by `{command}` on {datetime.date.today():%Y-%m-%d}; {os.cpu_count()} cores, {processor()}."


def processor():
    """Name of the processor as Linux gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine
