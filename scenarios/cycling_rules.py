"""What no single value of a `cycle` can tell; rules as in rules.py."""

from scenarios.cycling import settled, settled_stop
from scenarios.protocol import cycled
from scenarios.units import number


def newtons(value):
    return f"{number(value)} N"


def _cycles(scenario):
    """(path, body) of each cycle step."""
    return [(("protocol", i, "cycle"), body) for i, kind, body in scenario.steps() if kind == "cycle"]


def specimen(scenario):
    for path, _ in _cycles(scenario):
        if scenario.specimen.shape == "block":
            yield path, (
                "foam has no fatigue law, so a screw in it would never loosen; use a vertebra (`level: L2`) or a bone "
                "cylinder (`shape: cylinder`), or leave the cycle out"
            )


def model(scenario):
    if scenario.model == "axisymmetric" and _cycles(scenario):
        yield ("model",), "a `cycle` bends the screw, which `axisymmetric` cannot describe; use `threaded3d`"


def halo_after(scenario):
    for i, kind, _ in scenario.steps():
        if kind == "halo" and cycled(scenario, i):
            yield ("protocol", i), (
                "the cycling makes its own halo, so none can be given after it; leave this one out or put it before "
                "the `cycle`"
            )


def load(scenario):
    for path, body in _cycles(scenario):
        if body.ratio is not None and body.minimum is not None:
            yield (*path, "minimum"), "`minimum` and `ratio` say the same twice; keep one"
            continue
        said = settled(body)
        start, minimum = said["start"][0], said["minimum"][0]
        if start is None:
            yield (*path, "start"), (
                "missing; give the peak load of the first cycle, such as `start: 100 N`, or a published protocol, "
                "such as `preset: weiser`"
            )
        elif minimum is not None and minimum >= start:
            source = "" if body.minimum is not None else f" of preset {body.preset}"
            yield (*path, "start" if body.minimum is None else "minimum"), (
                f"the minimum load{source} ({newtons(minimum)}) is not below the peak of the first cycle ({newtons(start)}); "
                f"lower it or start higher"
            )


def stop_criteria(scenario):
    for path, body in _cycles(scenario):
        start, ramp, stop = settled(body)["start"][0], settled(body)["ramp"][0], settled_stop(body)
        if body.preset is None and all(source or value is None for value, source in stop.values()):
            yield (*path, "stop"), (
                "missing; say when the cycling ends, such as `stop: {head_displacement: 5.4 mm}` or "
                "`stop: {cycles: 10000}`"
            )
        highest = stop["load"][0]
        if highest is None or start is None:
            continue
        if highest <= start:
            yield (*path, "stop", "load"), (
                f"the first cycle has a peak of {newtons(start)} already; stop at a load above it or start lower"
            )
        elif not ramp.step_N:
            yield (*path, "stop", "load"), (
                f"the peak stays at {newtons(start)} and never reaches {newtons(highest)}; give a ramp, such as "
                f"`ramp: 0.1 N/cycle`, or another criterion, such as `cycles: 10000`"
            )


RULES = [specimen, model, halo_after, load, stop_criteria]
