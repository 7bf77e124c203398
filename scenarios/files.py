"""Files that are written whole: a reader finds the old one or the new one, whatever happens meanwhile. And JSON, as far as it is there."""

import json


def replace(file, text):
    """Write `text` as the Path `file`."""
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.rename(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_json(file):
    """Content of the Path `file`, {} where it is missing or no JSON."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
