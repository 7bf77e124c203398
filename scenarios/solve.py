"""The solver as a process of its own: started, watched, and stopped in order when the user or the machine says so."""

from contextlib import contextmanager
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from scenarios.trouble import Environment

ROOT = Path(__file__).resolve().parent.parent
COMPLETED, STOPPED_SHORT, ENVIRONMENT = 0, 3, 4
GRACE = 15.0  # seconds a stopped solver has to end by itself
TOGETHER = 1.0  # seconds; signals that follow each other more closely are one wish to stop
STDERR = "solver_messages.txt"
LAUNCHER = "HALOFIX_MPI"  # such as `srun --mpi=pmix` in a SLURM job


class Interrupted(Exception):
    """The user (Ctrl-C) or the batch system (SIGTERM) has stopped the run."""


def usual_ranks(model):
    """Processes that a model is solved on unless the user says otherwise: flat ones are small, solid ones gain up to four."""
    if model == "axisymmetric" or not shutil.which("mpirun"):
        return 1
    return min(4, len(os.sched_getaffinity(0)))


def check_ranks(ranks):
    """Raise Environment unless the solver can be started on so many processes here (None: as many as usual)."""
    if ranks is None:
        return
    if not shutil.which(launcher()[0]) and LAUNCHER in os.environ:
        raise Environment(f"{LAUNCHER} says `{os.environ[LAUNCHER]}`, but there is no such command on PATH")
    if LAUNCHER in os.environ:
        return  # which cores there are is the batch system's to say
    cores = len(os.sched_getaffinity(0))
    if ranks > cores:
        raise Environment(f"{ranks} processes were asked for (-n) but this machine lets us use {cores} cores")
    if ranks > 1 and not shutil.which("mpirun"):
        raise Environment("solving on several cores needs mpirun, which is not on PATH; ./halofix doctor says more")


def launcher():
    """Words that start a program on several processes, before `-n N`: those of $HALOFIX_MPI, else mpirun."""
    return os.environ.get(LAUNCHER, "mpirun").split() or ["mpirun"]


def environment():
    """Environment of a child process that imports halofix's packages."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def command(directory, ranks):
    """Command line of the solver on `directory`."""
    words = [sys.executable, "-m", "fem", str(directory.resolve()), "--expect-ranks", str(ranks)]
    return words if ranks == 1 else [*launcher(), "-n", str(ranks), *words]


def solve(directory, ranks, on_step):
    """Run the solver on `directory`; on_step is called with the record of each load step. Returns its exit code.

    Raises Interrupted once the solver has been stopped.
    """
    with open(directory / STDERR, "wb") as messages, _session() as session:
        # Its own session: Ctrl-C reaches us alone, and we end the whole group of ranks.
        process = subprocess.Popen(
            command(directory, ranks),
            stdout=subprocess.PIPE,
            stderr=messages,
            env=environment() | session,
            start_new_session=True,
            text=True,
        )
        try:
            for line in process.stdout:
                if record := _record(line):
                    on_step(record)
            return process.wait()
        except KeyboardInterrupt:
            raise Interrupted from None
        finally:
            end(process, (signal.SIGTERM, signal.SIGKILL), GRACE)


@contextmanager
def _session():
    """Environment that gives mpirun a folder of its own. It names its files by its process number, refuses to start where they exist,
    and one that was killed has left them: sooner or later another one has that number. Where the user has named a folder it is that."""
    if "PRTE_MCA_prte_tmpdir_base" in os.environ:  # mpirun takes either this or what is set here
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="halofix-mpi-", ignore_cleanup_errors=True) as folder:
        yield {"PRTE_MCA_prte_local_tmpdir_base": folder}


def _record(line):
    """The record of a load step, or None for any other line."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and {"step", "force_N", "displacement_mm"} <= record.keys() else None


@contextmanager
def terminable():
    """SIGTERM, which batch systems send at the time limit, acts like Ctrl-C; of signals that come together one acts.

    One wish to stop can come several times: from the terminal, the launcher, the batch system, to us and to our group.
    """
    global _heard
    before = {}
    if threading.current_thread() is threading.main_thread():  # in others signals are someone else's
        before = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
        before = {sign: handler for sign, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    if _stop not in before.values():
        _heard = -TOGETHER
    for sign in before:
        signal.signal(sign, _stop)
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


_heard = -TOGETHER  # when the last signal came


def _stop(*_):
    global _heard
    before, _heard = _heard, time.monotonic()
    if _heard - before >= TOGETHER:
        raise KeyboardInterrupt


def _default():
    """In a process forked from one that `terminable` works in, such as the mesher's: it is ended as any other."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(sign) is _stop:
            signal.signal(sign, signal.SIG_DFL)


os.register_at_fork(after_in_child=_default)


def end(process, signs, patience):
    """End a process and its group by the first of `signs` that does it within `patience` seconds, or until we are interrupted once more."""
    if process.poll() is not None:
        return
    for sign in signs:
        try:
            os.killpg(process.pid, sign)
            process.wait(patience)
            return
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue
        except ProcessLookupError:
            return


def last_words(directory):
    """The last line that the solver wrote to its error stream, or ''; the file is dropped if it is empty."""
    file = directory / STDERR
    lines = [line.strip() for line in file.read_text(errors="replace").splitlines() if line.strip()]
    if not lines:
        file.unlink()
        return ""
    # mpirun ends with a banner of its own; the sentence of the solver comes before.
    own = [line for line in lines if line.startswith("halofix:") or "Error" in line.split(":")[0]]
    return (own or lines)[-1].removeprefix("halofix: ")
