"""The step `cycle` of the scenario language: published protocols, what may be given, and what holds where nothing is."""

from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from scenarios.language import CHOICE, Block, default
from scenarios.units import Axis, Quantity, Ramp

# Published protocols: what each says, and what it leaves open.
PRESETS = {
    "weiser": {
        "source": "Weiser 2021, Global Spine J 11:679",
        "start": "100 N",
        "ramp": "0.1 N/cycle",
        "minimum": "50 N",
        "frequency": "0.5 Hz",
        "stop": {"head_displacement": "5.4 mm"},
        "open": {"minimum": "constant 50 N as the same laboratory reports for its next series (Eur Spine J 2021;30:128)"},
    },
    "kueny": {
        "source": "Kueny 2014, Eur Spine J 23:2196",
        "start": "75 N",
        "ramp": "25 N every 250 cycles",
        "minimum": "25 N",
        "frequency": "1 Hz",
        "stop": {"head_displacement": "5.4 mm"},
    },
    "lai": {
        "source": "Lai 2018, J Biomech",
        "start": "100 N",
        "ramp": "constant",
        "minimum": "10 N",
        "frequency": "1 Hz",
        "stop": {"cycles": 10_000},
    },
}
# What holds without a preset.
UNSAID = {
    "ramp": ("constant", CHOICE + ": a load that does not grow"),
    "ratio": (0.1, CHOICE + ": usual in fatigue tests"),
}
MOST_CYCLES = 1_000_000, CHOICE + ": about half a year of walking"
_PRESET = "the preset's"
Force = Annotated[float, Quantity("N", 1, 5000, "100 N")]


class CycleStop(Block):
    """When the cycling ends, whichever comes first; what is given is added to the criteria of the preset."""

    head_displacement: Annotated[float, Quantity("mm", 0.05, 20, "5.4 mm")] | None = default(
        None, _PRESET, "way of the screw head under peak load, since the start of the step"
    )
    angle: Annotated[float, Quantity("deg", 0.1, 45, "15 deg")] | None = default(None, _PRESET, "tilt of the screw")
    cycles: Annotated[int, Field(strict=True, ge=1, le=10_000_000)] | None = default(
        None, f"{_PRESET}, else {MOST_CYCLES[0]} ({MOST_CYCLES[1]})", "number of cycles"
    )
    load: Force | None = default(None, _PRESET, "peak load that is reached")
    stiffness_loss: Annotated[float, Quantity("%", 1, 99, "50 %")] | None = default(
        None, _PRESET, "loss of stiffness against the first cycle"
    )


class Cycle(Block):
    """Load the screw head cyclically: toggling, which loosens the screw and makes the halo round it."""

    preset: Literal[tuple(PRESETS)] | None = default(
        None, "each value is given", "a published protocol; each of its values may be overridden"
    )
    axis: Annotated[str | tuple[float, float, float], Axis] = default(
        "craniocaudal",
        "cranial-caudal as in Weiser 2021",
        "direction of the load: craniocaudal, mediolateral, axial, or [x, y, z] in the frame of the vertebra (of the "
        "screw in a cylinder)",
    )
    lever_arm: Annotated[float, Quantity("mm", -100, 100, "10 mm")] = default(
        "10 mm", CHOICE + ": a screw head on the bone",
        "from the bone to the line of the load, along the screw; negative: it passes through the bone, as where the head is clamped "
        "to a rod and the vertebral body is loaded; the displacement of the head is that of the screw's axis at this line",
    )
    start: Force | None = default(None, f"{_PRESET}; without a preset it is given", "peak load of the first cycle")
    ramp: Ramp | None = default(
        None, f"{_PRESET}, else {UNSAID['ramp'][0]} ({UNSAID['ramp'][1]})", "how the peak load grows"
    )
    ratio: Annotated[float, Field(strict=True, ge=0, le=0.95)] | None = default(
        None,
        f"{_PRESET}, else {UNSAID['ratio'][0]} ({UNSAID['ratio'][1]})",
        "minimum over peak load, if the minimum grows with the peak",
    )
    minimum: Annotated[float, Quantity("N", 0, 5000, "25 N")] | None = default(
        None, f"{_PRESET}, else the ratio's", "load to which each cycle goes back, if it stays the same"
    )
    frequency: Annotated[float, Quantity("Hz", 0.001, 100, "0.5 Hz")] | None = default(
        None, f"{_PRESET}; changes nothing, as no law depends on rate", "cycles a second; recorded only"
    )
    stop: CycleStop = default(CycleStop(), f"{_PRESET}; without a preset it is given", "when the cycling ends")
    tolerance: Annotated[float, Quantity("%", 0.1, 20, "2 %")] = default(
        "2 %", CHOICE, "error allowed in each jump over cycles"
    )

    @property
    def loading(self):
        """Plain numbers, as the solver takes them; None for what does not apply.

        Either ramp_N_per_cycle (0: constant) or step_N and every_cycles; either minimum_N or ratio. Shares, not
        percentages. axis: a word or a unit vector.
        """
        said, stop = ({name: v for name, (v, _) in part.items()} for part in (settled(self), settled_stop(self)))
        ramp, loss = said["ramp"], stop["stiffness_loss"]
        return {
            "axis": self.axis if isinstance(self.axis, str) else list(self.axis),
            "lever_arm_mm": self.lever_arm,
            "start_N": said["start"],
            "ramp_N_per_cycle": ramp.step_N if ramp.every is None else None,
            "step_N": None if ramp.every is None else ramp.step_N,
            "every_cycles": ramp.every,
            "minimum_N": said["minimum"],
            "ratio": said["ratio"],
            "frequency_Hz": said["frequency"],
            "stop": {
                "head_displacement_mm": stop["head_displacement"],
                "angle_deg": stop["angle"],
                "cycles": stop["cycles"],
                "load_N": stop["load"],
                "stiffness_loss": None if loss is None else loss / 100,
            },
            "tolerance": self.tolerance / 100,
        }


@cache
def _preset(name):
    """The preset `name` as a Cycle."""
    return Cycle(**{key: value for key, value in PRESETS[name].items() if key not in ("source", "open")})


def _preset_source(name, key):
    return f"preset: {name}, {PRESETS[name].get('open', {}).get(key) or PRESETS[name]['source']}"


def settled(cycle):
    """{name: (value, source)} of start, ramp, ratio, minimum and frequency: given, else the preset's, else UNSAID.

    Of ratio and minimum one is None: what is given stands for both. source: None for what the scenario gives.
    """
    names, found = ("start", "ramp", "ratio", "minimum", "frequency"), {}
    given = {name: getattr(cycle, name) for name in names}
    layers = [{name: (value, None) for name, value in given.items() if value is not None}]
    if cycle.preset is not None:
        preset = _preset(cycle.preset)
        said = {name: getattr(preset, name) for name in names}
        layers.append({n: (v, _preset_source(cycle.preset, n)) for n, v in said.items() if v is not None})
    ramp, ratio = UNSAID["ramp"], UNSAID["ratio"]
    layers.append({"ramp": (Ramp.read(ramp[0]), f"default: {ramp[1]}"), "ratio": (ratio[0], f"default: {ratio[1]}")})
    for values in layers:
        if {"ratio", "minimum"} & found.keys():
            values = {name: value for name, value in values.items() if name not in ("ratio", "minimum")}
        found = values | found
    for name in {"ratio", "minimum"} - found.keys():
        other = "minimum" if name == "ratio" else "ratio"
        found[name] = None, f"derived: {other} says it"
    return {name: found.get(name, (None, "default: not given")) for name in names}


def cycles_to_stand(cycle):
    """Number of cycles that the screw is to stand: where nothing else ends the test. None where loosening is what may end it."""
    stop = {name: value for name, (value, _) in settled_stop(cycle).items() if value is not None}
    return stop["cycles"] if len(stop) == 1 else None


def settled_stop(cycle):
    """{name: (value, source)} of the criteria that end the cycling; source as in `settled`."""
    preset, found = cycle.preset and _preset(cycle.preset).stop, {}
    for name in CycleStop.model_fields:
        value = getattr(cycle.stop, name)
        if value is not None:
            found[name] = value, None
        elif preset and getattr(preset, name) is not None:
            found[name] = getattr(preset, name), _preset_source(cycle.preset, name)
        elif name == "cycles":
            found[name] = MOST_CYCLES[0], f"default: {MOST_CYCLES[1]}"
        else:
            found[name] = None, "default: no criterion"
    return found
