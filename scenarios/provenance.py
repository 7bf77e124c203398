"""provenance.json: which code, which libraries, which files, how many ranks. Nothing in it names the machine."""

from datetime import UTC, datetime
from functools import cache
import hashlib
from importlib import metadata
import json
from pathlib import Path
import platform
import subprocess
import tomllib

from materials import library
from scenarios.solve import ROOT

# distribution names as the package registries have them
LIBRARIES = (
    "fenics-dolfinx", "fenics-ufl", "petsc4py", "mpi4py", "gmsh", "numba", "numpy", "scipy", "meshio", "pydantic",
    "pint", "ruamel.yaml",
)  # fmt: skip


def provenance(directory, ranks, options):
    """What a reader needs to repeat the run in `directory`, JSON-ready. options: what was asked beside the scenario."""
    return {
        "schema": 1,
        "halofix": {"version": version(), **git_state()},
        "python": platform.python_version(),
        "libraries": {name: v for name in LIBRARIES if (v := _version(name))},
        "ranks": ranks,
        "options": options,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": {file.relative_to(directory).as_posix(): _hash(file) for file in _files(directory)},
    }


def version():
    """Version of halofix, from pyproject.toml."""
    try:
        return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"


@cache
def laws():
    """Version of halofix and hash of the numbers of its material library: what a result follows from beside the scenario."""
    names = ["calibrated", *sorted(file.stem for file in (Path(library.HERE) / "library").glob("*.yaml"))]
    numbers = [[name, sorted(vars(library.load(name)).items())] for name in names]
    return f"{version()}\n{hashlib.sha256(json.dumps(numbers).encode()).hexdigest()}"


@cache
def source(*patterns):
    """Hash of the files of the checkout that the patterns name: what they make is no longer what another state of them made."""
    files = sorted(file for pattern in patterns for file in ROOT.glob(pattern))
    return hashlib.sha256(b"\n".join(file.read_bytes() for file in files)).hexdigest()


def git_state():
    """{'commit', 'modified'} of the checkout; unknown where there is no git or no checkout."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "modified": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "modified": "unknown"}


def _git(*words):
    # The checkout may belong to another user than the one who runs: git would refuse it unless told.
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _files(directory):
    return sorted(f for f in directory.rglob("*") if f.is_file() and f.name not in ("provenance.json", "run.log"))


def _hash(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
