"""Says what a Python environment has of what halofix needs.

``doctor.py``           prints one line a part ("ok" or "WRONG", with the remedy) and ends with 0 or 4
``doctor.py --has DIR``  ends with 0 if every module is there; imports them once and remembers that in DIR
``doctor.py --import``  imports every module and names the ones that fail; 0 or 4
``doctor.py --solve``   one rank of the doctor's two-rank solve

It runs in any Python 3 that a user may name, and ``--has`` at each start of halofix: little is imported at the top.
"""

import importlib
import importlib.util
import os
import sys

MODULES = (
    "dolfinx basix ufl ffcx petsc4py mpi4py gmsh numba numpy scipy pydantic ruamel.yaml pint typer rich jinja2 pandas "
    "matplotlib pyvista vtkmodules meshio skimage psutil snakemake snakemake_executor_plugin_slurm SALib sklearn pyarrow pytest"
).split()


def problems():
    """Import everything: one sentence for each part that halofix cannot use."""
    if sys.version_info < (3, 11):
        return ["Python is %d.%d; 3.11 or newer is needed" % sys.version_info[:2]]
    wrong = []
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken library can raise anything
            wrong.append("%s cannot be imported: %s" % (name, str(error).splitlines()[0] if str(error) else error))
    if not wrong:
        import dolfinx
        from petsc4py import PETSc

        if tuple(int(part) for part in dolfinx.__version__.split(".")[:2]) < (0, 9):
            wrong.append("dolfinx is %s; 0.9 or newer is needed" % dolfinx.__version__)
        if PETSc.ScalarType is not float and PETSc.ScalarType().dtype.kind == "c":
            wrong.append("PETSc is built for complex numbers; the real build is needed")
    return wrong


def has_everything(memory):
    """Whether all modules are there: looked up each time, imported once for each state of this Python."""
    files = []
    for name in MODULES:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return False
        if not spec or not spec.origin:
            return False
        files.append(spec.origin)

    import hashlib

    state = [sys.executable, sys.version] + [[path, os.path.getmtime(path)] for path in files]
    stamp = os.path.join(memory, "python-" + hashlib.sha256(repr(state).encode()).hexdigest()[:12])
    if not os.path.exists(stamp):
        if problems():
            return False
        try:
            os.makedirs(memory, exist_ok=True)
            open(stamp, "w").close()
        except OSError:  # no place to remember it: it is found out anew each time
            pass
    return True


def solve():
    """A small linear problem on all ranks: forms are compiled, the mesh is partitioned, the matrix is factorised."""
    import numpy as np
    import ufl
    from dolfinx import fem, mesh
    from dolfinx.fem import petsc
    from mpi4py import MPI

    domain = mesh.create_unit_square(MPI.COMM_WORLD, 8, 8)
    space = fem.functionspace(domain, ("Lagrange", 1))
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    a, right = ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx + u * v * ufl.dx, 3.0 * v * ufl.dx
    options = {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"}
    solution = petsc.LinearProblem(a, right, petsc_options=options).solve()
    worst = MPI.COMM_WORLD.allreduce(float(np.abs(solution.x.array - 3.0).max()), MPI.MAX)
    if worst > 1e-10:
        raise SystemExit("wrong solution, error %g" % worst)
    if MPI.COMM_WORLD.rank == 0:
        print("%d ranks" % MPI.COMM_WORLD.size)


def call(command, seconds=120):
    """Run a command; (whether it ended well, its standard output, the telling line of its standard error)."""
    import subprocess

    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, "", str(error)
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip(" -")]
    telling = [line for line in lines if "rror" in line] or lines[-1:] or ["exit code %d" % done.returncode]
    return done.returncode == 0, done.stdout.strip(), telling[0]


def blas():
    """(fast?, name) of the BLAS that numpy and PETSc have loaded."""
    import re

    from petsc4py import PETSc  # noqa: F401  loads the library

    try:
        with open("/proc/self/maps") as maps:
            libraries = set(re.findall(r"/([^/\s]+\.so[^/\s]*)$", maps.read(), re.M))
    except OSError:
        return True, "not known on this system"
    for name in ("openblas", "mkl", "blis", "armpl"):
        # The wheels' own copies (such as libscipy_openblas) are not the one that PETSc uses.
        if any(re.match(r"lib%s(?!.*scipy)" % name, library) for library in libraries):
            return True, name
    return False, ", ".join(sorted(l for l in libraries if "blas" in l)) or "none"


PICTURE = "import pyvista as p; q = p.Plotter(off_screen=True); q.add_mesh(p.Sphere()); print(q.screenshot().shape)"


def doctor():
    wrong = []

    def line(good, part, text, remedy=None):
        print("%-8s %-14s %s" % ("ok" if good else "WRONG", part, text), flush=True)
        if not good:
            wrong.append(part)
            if remedy:
                print(" " * 24 + remedy, flush=True)

    line(sys.version_info >= (3, 11), "python", "%s %s" % (sys.version.split()[0], sys.executable), "use 3.11 or newer")
    missing = problems()
    for problem in missing:
        line(False, "modules", problem)
    if missing:
        print(" " * 24 + "install what is missing (environment.yml lists all), or unset HALOFIX_PYTHON: "
              "halofix then finds its own environment")
        return 4

    import shutil
    import tempfile
    from importlib.metadata import version

    import dolfinx
    import gmsh
    import numba
    from petsc4py import PETSc

    gmsh.initialize(interruptible=False)
    line(True, "modules", "dolfinx %s, PETSc %s, gmsh %s, numba %s, numpy %s, pyvista %s, vtk %s" % (
        dolfinx.__version__, ".".join(map(str, PETSc.Sys.getVersion())), gmsh.option.getString("General.Version"),
        numba.__version__, version("numpy"), version("pyvista"), version("vtk")))
    gmsh.finalize()
    good, name = blas()
    line(good, "BLAS", name, "the reference BLAS is many times slower: install OpenBLAS (Debian: libopenblas0-pthread)")

    mpirun = shutil.which("mpirun")
    if mpirun is None:
        line(False, "MPI", "mpirun is not on PATH", "install OpenMPI or MPICH in the same environment")
    else:
        good, text, error = call([mpirun, "-n", "2", sys.executable, os.path.abspath(__file__), "--solve"])
        line(good and text == "2 ranks", "MPI", "a solve on %s with %s" % (text, mpirun) if good else error,
             "mpirun must belong to the MPI of this environment's mpi4py, and two processors must be allowed")
    good, text, error = call([sys.executable, "-c", PICTURE])
    line(good, "pictures", "rendered without a display" if good else error,
         "install EGL (Debian: libegl1); without it reports have no pictures")
    line(True, "processors", "%d" % len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "")
    with tempfile.TemporaryDirectory() as folder:
        line(os.access(folder, os.W_OK), "scratch", "%s, %.0f GB free" % (
            os.path.dirname(folder), shutil.disk_usage(folder).free / 1e9))
    return 4 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--has"]:
        sys.exit(0 if has_everything(sys.argv[2]) else 4)
    if sys.argv[1:] == ["--import"]:
        found = problems()
        print("\n".join(found))
        sys.exit(4 if found else 0)
    if sys.argv[1:] == ["--solve"]:
        sys.exit(solve())
    sys.exit(doctor())
