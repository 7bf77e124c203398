"""A scenario with some of its values replaced: what sweeps and studies make their cases of.

    varied(text, {"specimen.bmd": "60 mg/cm^3", "protocol.halo.thickness": "2 mm"}) -> text

A value is named by its dotted path. In the protocol a step is named by its kind; where there are several of a kind by its
place among them, `protocol.cycle[2].preset`, counted from 1; without a number the first is meant. What is replaced may be a
number, text, a list or a whole block; a value whose block is there but which the scenario leaves to its default is added;
None takes it out. Comments and order of the rest stay as they are.
"""

from io import StringIO
import re

from ruamel.yaml import YAML

from scenarios.trouble import BadInput

STEP = re.compile(r"(?P<kind>[A-Za-z_]+)(?:\[(?P<number>[1-9]\d*)\])?$")


def varied(text, changes):
    """The scenario file's `text` with the values of `changes` ({dotted path: new value}) in place of its own.

    Raises BadInput for a path that leads nowhere. The new values are not judged: `scenarios.loader.read` does that.
    """
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = yaml.load(text)
    change(data, changes)
    out = StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def change(data, changes):
    """`varied` on a scenario that has been read: puts the values of `changes` into the nested dict `data`, in place."""
    for path, value in changes.items():
        block, key = _block(data, path)
        if value is None:
            block.pop(key, None)
        else:
            block[key] = value


def value_at(text, path):
    """What the scenario file's `text` says at `path`; None where it says nothing. Raises BadInput as `varied`."""
    block, key = _block(YAML(typ="safe").load(text), path)
    return block.get(key)


def number_in(scenario, path):
    """The number that a spec.Scenario has at a dotted path, in its own unit; None where there is none."""
    block, parts = scenario, path.split(".")
    if parts[0] == "protocol" and len(parts) > 1:
        steps = scenario.steps()
        place = step_index([kind for _, kind, _ in steps], parts[1])
        block, parts = None if place is None else steps[place][2], parts[2:]
    for part in parts:
        block = getattr(block, part, None)
    return block if isinstance(block, (int, float)) else None


def _block(data, path):
    """(mapping, key) that a dotted path names."""
    parts = path.split(".")
    if not all(parts):
        raise BadInput(f"`{path}` is not the path of a value; write one such as specimen.bmd or protocol.halo.thickness")
    if parts[0] == "protocol" and len(parts) > 1:
        block, parts = _step(data, parts[1], path), parts[2:]
        if not parts:
            raise BadInput(f"`{path}` is a whole step; name one of its values, such as {path}.thickness")
    else:
        block = data
    for part in parts[:-1]:
        if not isinstance(block.get(part), dict):
            there = ", ".join(key for key, value in block.items() if isinstance(value, dict))
            raise BadInput(f"`{path}`: the scenario has no block `{part}` there" + (f"; it has {there}" if there else ""))
        block = block[part]
    return block, parts[-1]


def step_index(kinds, name):
    """Place in the list `kinds` of the step that `name`, such as cycle[2], means; None if there is none."""
    found = STEP.match(name)
    at = [i for i, kind in enumerate(kinds) if found and kind == found["kind"]]
    number = int((found and found["number"]) or 1)
    return at[number - 1] if number <= len(at) else None


def _step(data, name, path):
    """The body of a protocol step."""
    kinds = [next(iter(step)) for step in data["protocol"]]
    place = step_index(kinds, name)
    if place is None:
        raise BadInput(f"`{path}`: the protocol has no step `{name}`; its steps are {', '.join(kinds)}")
    step, kind = data["protocol"][place], kinds[place]
    if step[kind] is None:
        step[kind] = {}
    return step[kind]
