"""Pages that we write: one of our templates, filled in, in one file with its style and figures."""

import base64
from pathlib import Path

import jinja2

from scenarios import files

TEMPLATES = Path(__file__).parent / "templates"


def rendered(directory, template, **content):
    """Write report.html into `directory` from one of our templates; returns its path."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.get_template(template).render(style=(TEMPLATES / "report.css").read_text(), **content)
    path = directory / "report.html"
    files.replace(path, page)
    return path


def inline(path):
    """{source, width, wide} of a figure: the PNG as a data URI; width in CSS pixels, so that all have one scale."""
    data = Path(path).read_bytes()
    width = int.from_bytes(data[16:20], "big")  # IHDR
    return {"source": "data:image/png;base64," + base64.b64encode(data).decode(), "width": round(width / 1.75),
            "wide": width > 1400}
