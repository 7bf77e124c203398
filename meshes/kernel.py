"""One Gmsh model at a time, silent, gone when done."""

from contextlib import contextmanager

import gmsh


@contextmanager
def gmsh_model(name):
    """Context with an empty current Gmsh model; a Gmsh session that somebody else opened stays open."""
    started = not gmsh.isInitialized()
    if started:
        gmsh.initialize(readConfigFiles=False, interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.option.setNumber("General.NumThreads", 1)
    gmsh.model.add(name)
    try:
        yield gmsh.model
    finally:
        gmsh.model.remove()
        if started:
            gmsh.finalize()
