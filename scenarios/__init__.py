"""Scenarios: what a lab does to a specimen. `load` reads one, `run` carries it out, `compare` sets several
side by side.

The three are imported on first use, so that checking a file costs neither pandas nor a solver.
"""

_HOME = {"load": "scenarios.loader", "run": "scenarios.runner", "compare": "scenarios.comparison"}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"scenarios has no {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
