"""Files that are written whole: a reader finds the old one or the new one, whatever happens meanwhile."""


def replace(file, text):
    """Write `text` as the Path `file`."""
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.rename(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
