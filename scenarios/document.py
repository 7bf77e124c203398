"""A YAML file as plain data in which every value remembers its line, with everything YAML lets pass that we do not.

`read_document` never raises for what a user wrote: whatever is wrong becomes a Problem, and what is right is kept, so
that one pass over a file finds all that is wrong with it.
"""

from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
import re
import stat

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

LARGEST = 1_000_000  # bytes; a scenario is a page of text
PLAIN = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp"}
MOST_VALUES = 20_000  # aliases can make a short file explode
EMPTY = "the file is empty; a scenario needs the blocks `specimen`, `screw` and `protocol`"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (line 0: the file as a whole), and a sentence with its remedy."""

    path: tuple
    line: int
    message: str

    def text(self, file):
        place = f"{file}:{self.line}: " if self.line else f"{file}: "
        return f"{place}{path_text(self.path)}{self.message}"


def path_text(path):
    """('protocol', 2, 'augment') -> 'protocol[3].augment: '; steps are counted from 1."""
    text = "".join(f"[{p + 1}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
    return f"{text}: " if text else ""


@dataclass
class Document:
    """Plain data of one file; lines: path -> line; problems found so far; flagged: paths already complained about."""

    data: object = None
    text: str = ""
    lines: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)
    flagged: set = field(default_factory=set)

    def line(self, path):
        """Line of the value at `path`, or of the closest thing around it."""
        path = tuple(path)
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path, message, line=None):
        self.problems.append(Problem(tuple(path), self.line(path) if line is None else line, message))
        self.flagged.add(tuple(path))


def read_document(file):
    """Read the file at path `file` into a Document."""
    document = Document()
    data, trouble = _read_bytes(Path(file))
    if trouble:
        document.add((), trouble, line=0)
        return document
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        document.add((), "this is not a text file; a scenario is YAML text in UTF-8", line=line)
        return document
    return document_of(text)


def document_of(text):
    """The Document of YAML `text`."""
    document = Document(text=text)
    root = _compose(document)
    if root is not None:
        document.lines[()] = root.start_mark.line + 1
        builder = _Builder(document)
        document.data = builder.build(root, ())
        if builder.endless:
            document.data = None
            document.add((), "aliases (`*name`) make this file endless; write the values out", line=1)
        elif document.data is None and not document.problems:
            document.add((), EMPTY, line=1)
    return document


def _read_bytes(path):
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return None, "this is a directory; name a scenario file (.yaml)"
        if not stat.S_ISREG(mode):
            return None, "this is not a regular file; name a scenario file (.yaml)"
        if (size := path.stat().st_size) > LARGEST:
            return None, f"this file has {size / 1e6:.0f} MB; a scenario is a page of text (at most 1 MB)"
        return path.read_bytes(), None
    except FileNotFoundError:
        return None, f"there is no such file{_similar_file(path)}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return None, f"the file cannot be read ({reason}); check its name and permissions"


def _similar_file(path):
    from difflib import get_close_matches

    try:
        near = get_close_matches(path.name, [p.name for p in path.parent.iterdir() if p.is_file()], n=1)
    except OSError:
        return f"; there is no directory {path.parent} either"
    return f" (did you mean {path.parent / near[0]}?)" if near else ""


def _compose(document):
    """Root node of the only YAML document in the text, or None with a problem noted."""
    try:
        nodes = list(YAML(typ="safe", pure=True).compose_all(StringIO(document.text)))
    except RecursionError:
        document.add((), "lists or mappings are nested too deeply for a scenario", line=1)
    except MarkedYAMLError as error:
        # What is never closed is best looked for where it was opened.
        unclosed = error.context_mark and re.search("stream end|end of stream", error.problem or "")
        mark = error.context_mark if unclosed else error.problem_mark or error.context_mark
        document.add((), _syntax(error), line=mark.line + 1 if mark else 1)
    except YAMLError as error:
        position = getattr(error, "position", 0)
        line = document.text[:position].count("\n") + 1 if isinstance(position, int) else 1
        document.add((), "this is not a text file (it holds control characters); a scenario is YAML text", line=line)
    except Exception as error:  # the parser's own slips on garbage, such as a number too large for a version directive
        document.add((), f"this is not YAML ({error})", line=1)
    else:
        nodes = [node for node in nodes if node is not None]
        if not nodes or (len(nodes) == 1 and isinstance(nodes[0], ScalarNode) and not nodes[0].value):
            document.add((), EMPTY, line=1)
        elif len(nodes) > 1:
            line = nodes[1].start_mark.line + 1
            document.add((), "a second document begins here (after `---`); write one scenario a file", line=line)
        else:
            return nodes[0]
    return None


def _syntax(error):
    problem = error.problem or "it cannot be read"
    if "'\\t'" in problem or "tab" in problem:
        return "YAML: a tab; indent with spaces"
    remedy = "; check indentation, brackets and quotes"
    if "mapping values are not allowed" in problem:
        remedy = "; a `:` stands where none can be: check the indentation, and put text that holds `: ` in quotes"
    context = f" {error.context}," if error.context else ""
    return f"YAML:{context} {problem}{remedy}"


def _plain_tag(tag):
    prefix, _, kind = tag.rpartition(":")
    return prefix == "tag:yaml.org,2002" and kind in PLAIN


class _Builder:
    """Turns nodes into dict, list, str, int, float, bool; null is refused by name where it is met."""

    def __init__(self, document):
        self.document = document
        self.count = 0
        self.endless = False
        self.open = set()  # nodes being built: an alias to one of them is a loop

    def build(self, node, path):
        self.count += 1
        if id(node) in self.open or self.count > MOST_VALUES:
            self.endless = True
            return None
        if not _plain_tag(str(node.tag)):
            self.document.add(path, f"`{node.tag}`: tags are not part of the language; write the value alone")
            return None
        if isinstance(node, ScalarNode):
            return self.scalar(node, path)
        self.open.add(id(node))
        try:
            return self.mapping(node, path) if isinstance(node, MappingNode) else self.sequence(node, path)
        finally:
            self.open.discard(id(node))

    def mapping(self, node, path):
        result = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self.document.add(path, "a key is a word, not a list or a mapping", line=line)
                continue
            key = key_node.value
            here = (*path, key)
            if key in result or here in self.document.flagged:
                message = f"given twice (first in line {self.document.lines[here]}); keep one"
                self.document.problems.append(Problem(here, line, message))
                continue
            self.document.lines[here] = line
            value = self.build(value_node, here)
            if value is None and len(path) == 2 and path[0] == "protocol":
                value = {}  # `- insert:` says all there is to say
            if value is None:
                if here not in self.document.flagged:
                    self.document.add(here, "has no value; give one or remove the line")
                continue
            result[key] = value
        return result

    def sequence(self, node, path):
        result = []
        for i, item in enumerate(node.value):
            self.document.lines[(*path, i)] = item.start_mark.line + 1
            result.append(self.build(item, (*path, i)))
        return result

    def scalar(self, node, path):
        tag, text = str(node.tag), node.value
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        kind = tag.rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int" and re.fullmatch(r"[+-]?\d{1,15}", text):
            return int(text)
        if kind == "float":
            try:
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan").replace(".NaN", "nan"))
            except ValueError:
                return text
        return text
