"""What a job of a sweep runs: `python -m scenarios.sweeps.cases batch NAME`, `mesh KEY` or `case NAME`, in its directory.

The cases of a batch run one after the other, each in a process forked from this one, so that Python and its libraries are
loaded once a batch, and that whatever becomes of a case (even of the mesher, which is C++) is the end of that case only.

A case that is through, well or not, has outcomes/<case>.json, written last and at once. A case that was stopped from outside
(killed, interrupted, no space left) has none: it is taken up again when the sweep goes on, from its last checkpoint.
A case is locked while it runs, so that two engines on one directory wait for each other and run nothing twice.
"""

import ctypes
import fcntl
import json
import os
from pathlib import Path
import shutil
import signal
import sys
import time
import traceback

from scenarios import runner
from scenarios import solve as solver
from scenarios.result import Result
from scenarios.shared import Shared
from scenarios.trouble import BadInput, Environment
from scenarios.unfinished import working
from scenarios.variation import varied

COMPLETED, UNFINISHED, ENVIRONMENT = 0, 1, 4
TAIL = 20  # lines of the log that the outcome of a failed case keeps
LEAST = 20_000_000  # bytes free; with less no failure is the case's own
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FAILED = {-sign: sign.name for sign in signal.Signals if sign not in FROM_OUTSIDE}
LARGE = ("mesh.npz", "mesh.msh", "peak.vtu", "state.vtu", "fields.bp", "end.npz", "checkpoint.npz")


def batch(name, root=Path()):
    """Run the cases of batch `name` that are not through yet; writes batches/<name>.done when all are."""
    plan = json.loads((root / "plan.json").read_text())
    cases, stopped = plan["batches"][name], []

    def stop(sign, _):
        stopped.append(sign)

    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, stop)
    _load()
    missing = 0
    for case in cases:
        if stopped:
            return UNFINISHED
        if (root / "outcomes" / f"{case}.json").exists():
            continue
        code = _forked(lambda: _run(root, plan, case), stopped)
        if code in FAILED:
            _finish(root, case, {"status": "failed", "reason": f"ended by {FAILED[code]}"}, None, plan["ranks"])
            code = COMPLETED
        if code == ENVIRONMENT:  # the next case would meet the same
            return ENVIRONMENT
        missing += code != COMPLETED
    if missing:
        return UNFINISHED
    _mark(root / "batches" / f"{name}.done")
    return COMPLETED


def single(case, root=Path()):
    """Run one case."""
    return _run(root, json.loads((root / "plan.json").read_text()), case)


def mesh(key, root=Path()):
    """Make the mesh `key`, which several cases begin with. What keeps it from being made is for these cases to say: each meets it again,
    in a process of its own. Only a machine that is at fault, or a kill from outside, ends without the mark that lets them begin."""
    plan = json.loads((root / "plan.json").read_text())
    (root / "meshes").mkdir(exist_ok=True)
    case = next(case for case, what in plan["cases"].items() if what["mesh"] == key)

    def make():
        try:
            runner.prepare_mesh(_scenario(root, plan, case), plan["resolution"], Shared(root / "meshes"))
        except (OSError, Environment):
            traceback.print_exc()
            return ENVIRONMENT
        except Exception:
            traceback.print_exc()
        return COMPLETED

    code = _forked(make, [])
    if code in (UNFINISHED, ENVIRONMENT):
        return code
    _mark(root / "meshes" / f"{key}.done")
    return COMPLETED


def _mark(file):
    file.parent.mkdir(exist_ok=True)  # Snakemake removes folders that a failed job has left empty
    file.touch()


def _load():
    """What every case imports, once."""
    import meshes.vertebra  # noqa: F401
    import scenarios.provenance  # noqa: F401
    import scenarios.resolved  # noqa: F401


def _forked(work, stopped):
    """Code of `work()` in a process of its own: UNFINISHED if that was killed from outside, of FAILED if it crashed."""
    parent, child = os.getpid(), os.fork()
    if child == 0:
        code = ENVIRONMENT
        try:
            for sign in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(sign, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: without us nobody would wait for it
            if os.getppid() == parent:
                code = work()
        finally:
            os._exit(code)
    while True:
        if stopped:
            _signal(child, signal.SIGTERM)
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.02)
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    sign = os.WTERMSIG(status)
    return UNFINISHED if sign in FROM_OUTSIDE else -sign


def _signal(process, sign):
    try:
        os.kill(process, sign)
    except ProcessLookupError:
        pass


def _run(root, plan, case):
    """One case, from its scenario to its outcome; the exit code of its process."""
    directory = root / "cases" / case
    try:
        directory.mkdir(exist_ok=True)
        log = os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        with open(directory / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError:  # some cluster file systems have no locks; then the batch system keeps jobs apart
                pass
            if (root / "outcomes" / f"{case}.json").exists():
                return COMPLETED
            return _carried_out(root, plan, case, directory)
    except KeyboardInterrupt:
        return UNFINISHED
    except (OSError, Environment):
        traceback.print_exc()
        return ENVIRONMENT


def _carried_out(root, plan, case, directory):
    """The run of a case that nobody else is running; the exit code of its process."""
    begun = time.monotonic()
    try:
        result = _result(root, plan, case, directory / "result")
        summary = result.summary
    except BadInput as error:  # what only the mesher could find out
        print(error)
        summary = {"status": "failed", "reason": str(error).splitlines()[0]}
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, (OSError, Environment)):
            raise
        summary = {"status": "failed", "reason": f"internal error ({type(error).__name__}: {error})"}
    if summary.get("interrupted"):
        return UNFINISHED
    if summary["status"] != "completed":
        if summary.get("exit_code") == ENVIRONMENT:
            raise Environment(summary["reason"])
        if shutil.disk_usage(directory).free < LEAST:
            raise Environment("no space is left on the disk")
    elif plan["keep"] == "numbers":
        _drop_fields(directory / "result")
    _finish(root, case, summary, time.monotonic() - begun, plan["ranks"])
    return COMPLETED


def _result(root, plan, case, final):
    """The Result of a case: of a run before this one, gone on with, or new."""
    scenario, cache = _scenario(root, plan, case), Shared(root / "meshes")
    # Nobody else works here while we have the lock: what an earlier process has left is ours to go on with.
    left = working(final)
    for old in left[:-1]:
        shutil.rmtree(old)
    for old in final.parent.glob(f".{final.name}.*.old"):
        shutil.rmtree(old)
    if final.exists() and Result(final).status == "completed":
        return Result(final)
    if left:
        left[-1].rename(final.parent / f".{final.name}.{os.getpid()}.tmp")
    if left or final.exists():
        try:
            return runner.resume(final, plan["ranks"], cache, reported=False)
        except BadInput:
            shutil.rmtree(final.parent / f".{final.name}.{os.getpid()}.tmp", ignore_errors=True)
            shutil.rmtree(final, ignore_errors=True)
    return runner.run(scenario, final, plan["ranks"], plan["resolution"], cache, reported=False, edits=plan["cases"][case]["edits"])


def _scenario(root, plan, case):
    """File of the scenario of a case; written when it is first needed."""
    file = root / "cases" / case / "scenario.yaml"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        temporary = file.with_name(f".scenario.{os.getpid()}")
        what = plan["cases"][case]
        changes = {path: value for path, value in what["changes"].items() if path not in what["edits"]}
        temporary.write_text(varied((root / "base.yaml").read_text(), changes))
        temporary.rename(file)
    return file


def _finish(root, case, summary, seconds, ranks):
    """outcomes/<case>.json: what the table is made of, and of a failed case the end of its log."""
    outcome = {"status": summary["status"], "reason": summary.get("reason", ""),
               "seconds": None if seconds is None else round(seconds, 2), "ranks": ranks, "result": summary}
    if summary["status"] != "completed":
        outcome["log"] = log_tail(root / "cases" / case)
    temporary = root / "outcomes" / f".{case}.{os.getpid()}"
    temporary.write_text(json.dumps(outcome))
    temporary.rename(root / "outcomes" / f"{case}.json")


def log_tail(directory):
    """The last lines of the logs of a case: of its run, then of its solver's error stream."""
    lines = []
    for file in (directory / "log", directory / "result" / "run.log", *sorted((directory / "result").rglob(solver.STDERR))):
        try:
            lines += file.read_text(errors="replace").splitlines()[-TAIL:]
        except OSError:
            continue
    return "\n".join(lines[-2 * TAIL :])


def _drop_fields(result):
    for name in LARGE:
        for path in result.rglob(name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def main(argv):
    verbs = {"batch": batch, "mesh": mesh, "case": single}
    if len(argv) != 2 or argv[0] not in verbs:
        print("usage: python -m scenarios.sweeps.cases batch NAME | case NAME | mesh KEY", file=sys.stderr)
        return 2
    return verbs[argv[0]](argv[1]) or COMPLETED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
