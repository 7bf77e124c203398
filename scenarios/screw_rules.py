"""What no single value of a screw can tell; rules as in rules.py."""

from math import pi, radians, tan

from scenarios.protocol import Revised, depth, screws
from scenarios.units import mm, number

LARGEST_BASE = 0.95  # of the pitch: some core is left between two threads
SMALLEST_TIP = 0.5  # mm, core radius at the tip


def where_given(path, screw, name):
    """The path of `name`, if that is where the user gave it; else of the screw's diameter or of the whole block."""
    given = getattr(screw.new, name, None) if isinstance(screw, Revised) else True
    return (*path, name if given is not None else "diameter")


def core(scenario):
    for path, screw in screws(scenario):
        if screw.core_diameter >= screw.diameter:
            yield where_given(path, screw, "core_diameter"), (
                f"a core of {mm(screw.core_diameter)} leaves no thread on a screw of {mm(screw.diameter)}; "
                f"it must be thinner than the screw"
            )


def tip(scenario):
    for path, screw in screws(scenario):
        radius = screw.core_diameter / 2 - screw.length * tan(radians(screw.taper))
        if radius < SMALLEST_TIP:
            most = (screw.core_diameter / 2 - SMALLEST_TIP) / screw.length
            yield where_given(path, screw, "taper"), (
                f"with a taper of {number(screw.taper)} deg the core ends before the tip; over {mm(screw.length)} "
                f"at most {number(round(most * 180 / pi, 1))} deg are possible"
            )


def pitch(scenario):
    for path, screw in screws(scenario):
        if screw.thread == "smooth" or screw.core_diameter >= screw.diameter:
            continue
        deep = (screw.diameter - screw.core_diameter) / 2 + depth(screw) * tan(radians(screw.taper))
        flanks = deep * (tan(radians(screw.proximal_flank)) + tan(radians(screw.distal_flank)))
        base = screw.crest + flanks
        if base > LARGEST_BASE * screw.pitch:
            yield where_given(path, screw, "pitch"), (
                f"threads {mm(deep)} deep are {mm(base)} wide at their base and do not fit a pitch of "
                f"{mm(screw.pitch)}; widen the pitch, thicken the core, or steepen the flanks"
            )


def insertion_depth(scenario):
    for path, screw in screws(scenario):
        if depth(screw) > screw.length:
            yield where_given(path, screw, "insertion_depth"), (
                f"a screw of {mm(screw.length)} cannot be inserted {mm(depth(screw))} deep; at most its length"
            )


def three_threads(scenario):
    for path, screw in screws(scenario):
        if screw.thread == "annular" and depth(screw) < 3 * screw.pitch:
            yield where_given(path, screw, "pitch"), (
                f"fewer than three threads of pitch {mm(screw.pitch)} are in the specimen ({mm(depth(screw))} deep); "
                f"insert it deeper or use a finer pitch"
            )


def fenestration(scenario):
    for path, screw in screws(scenario):
        holes = screw.fenestration
        if holes is None or (isinstance(screw, Revised) and screw.new.fenestration is None):
            continue
        if holes.diameter > 0.6 * screw.core_diameter:
            yield (*path, "fenestration", "diameter"), (
                f"holes of {mm(holes.diameter)} leave no wall in a core of {mm(screw.core_diameter)}; "
                f"at most {mm(0.6 * screw.core_diameter)}"
            )
        if holes.from_tip + holes.diameter > depth(screw):
            yield (*path, "fenestration", "from_tip"), (
                f"holes {mm(holes.from_tip)} from the tip lie outside the specimen: the screw is inserted "
                f"{mm(depth(screw))}; put them nearer to the tip"
            )


RULES = [core, tip, pitch, insertion_depth, three_threads, fenestration]
