"""What several runs need and one makes: meshes of equal geometry, and first tests of equal specimens.

Each is a directory named by a hash of what it was made from; its files are hard links where the file system has them. Runs
that start at the same moment may both make a thing: the first to finish keeps it.
"""

from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import shutil
import tempfile

from scenarios.provenance import source

OWN = shutil.ignore_patterns("checkpoint.npz", "figures")  # of a test: what stays with the run that made it


@dataclass(frozen=True)
class Shared:
    """Folder of shared things. steps: with finished tests, beside meshes: their end states are large (20 to 100 MB each)."""

    directory: Path
    steps: bool = False

    def mesh(self, key):
        """Where the mesh of this key is, or would be."""
        return self.directory / key

    def step(self, folder, ranks):
        """Where the test posed in `folder` (problem.json, mesh.npz) is, or would be, if solved on so many ranks; None if not shared."""
        if not self.steps:
            return None
        parts = [(folder / name).read_bytes() for name in ("problem.json", "mesh.npz")]
        return self.directory / hashlib.sha256(b"\n".join([*parts, str(ranks).encode(), source("fem/*.py").encode()])).hexdigest()[:16]


def take(kept, folder):
    """Bring what is in `kept` into `folder` as well; False if there is nothing."""
    if not kept.is_dir():
        return False
    link_test(kept, folder)
    return True


def keep(folder, kept, link):
    """Put what `link` (`link_mesh` or `link_test`) takes from `folder` into `kept`; if another run has been faster, its things stay."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=kept.parent, prefix="."))
    try:
        link(folder, temporary)
        temporary.rename(kept)
    except OSError:
        shutil.rmtree(temporary)
        if not kept.is_dir():
            raise


def link_mesh(source, target):
    """The mesh of directory `source` in directory `target` as well."""
    for name in ("mesh.npz", "mesh.msh"):
        _link(source / name, target / name)


def link_test(source, target):
    """The finished test of directory `source`, with its end state, in directory `target` as well."""
    shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True, ignore=OWN)


def _link(source, target):
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # not every file system has hard links
        shutil.copy(source, target)
