"""What tests of sweeps share: base scenarios that are solved in seconds, sweep files, and the command line."""

from pathlib import Path
import subprocess
import sys
import time

from scenarios import solve
from scenarios.sweeps import plan
from scenarios.variation import varied

ROOT = Path(__file__).resolve().parent.parent
NORMAL = "{distribution: normal, mean: 90 mg/cm^3, sd: 8 mg/cm^3}"
LENGTH = "{distribution: uniform, low: 38 mm, high: 45 mm}"
CYLINDER = (ROOT / "scenarios" / "cylinder_native.yaml").read_text()


def base_scenario(directory):
    """A base scenario whose cases take two seconds: two steps of an axisymmetric pull."""
    file = directory / "base.yaml"
    file.write_text(varied(CYLINDER, {"protocol.pullout.stop": {"displacement": "0.02 mm"}, "resolution": "coarse"}))
    return file


def sweep_file(directory, parameters, design, more="", name="sweep.yaml"):
    """A sweep file of base.yaml; its first parameter stands in line 3."""
    lines = ["scenario: base.yaml", "parameters:", *(f"  {path}: {values}" for path, values in parameters.items()), f"design: {design}", more]
    file = directory / name
    file.write_text("\n".join(lines) + "\n")
    return file


def made(directory, parameters, design, more=""):
    """The Plan of such a file."""
    return plan.made(sweep_file(directory, parameters, design, more))


def command(*words):
    return [sys.executable, "-m", "scenarios.cli", *map(str, words)]


def halofix(*words, environment=None):
    """`halofix WORDS`, run to its end."""
    env = solve.environment() | (environment or {})
    return subprocess.run(command(*words), env=env, capture_output=True, text=True, timeout=1800)


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def solved(directory):
    """How often each case was given to the solver."""
    return {log.parent.name: log.read_text().count(": solving\n") for log in (directory / "cases").glob("*/log")}
