"""Finite-element solver: the only part of halofix that knows dolfinx and PETSc. Runs as `python -m fem DIR`."""
