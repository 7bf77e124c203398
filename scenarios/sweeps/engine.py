"""Running a sweep: Snakemake does the work, this starts it, watches it and says how far it is.

    planned(file, ...)          make the directory          pilot(directory)            run and time one case
    run(directory, ...)         what is not through yet     retry(directory, ...)       failed cases once more
    status(directory)           how far it is

The engine is a process of its own. It ends, after the cases that are running, when we are killed; at Ctrl-C its cases are
stopped and keep what they have computed. While it lives it holds the lock of the sweep's directory.
"""

from contextlib import contextmanager
import ctypes
from dataclasses import dataclass, replace
import errno
import fcntl
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

from scenarios import files, runner
from scenarios import solve as solver
from scenarios.provenance import source
from scenarios.sweeps import plan as plans
from scenarios.trouble import BadInput, Environment

HERE = Path(__file__).parent
SNAKEFILE, PROFILES = HERE / "Snakefile", HERE / "profiles"
LOG = "engine.log"
COMPLETED = 0
PATIENCE = 60.0  # seconds that the engine has to stop its cases
SHOWN = 10  # failures that are listed


@dataclass(frozen=True)
class State:
    """How far a sweep is. cases: how many there are; outcomes: {case: dict} of those that are through."""

    name: str
    directory: Path
    cases: int
    outcomes: dict
    running: bool
    rows: int
    meshes: int
    jobs: int
    ranks: int

    @property
    def failures(self):
        return {case: outcome for case, outcome in self.outcomes.items() if outcome["status"] != "completed"}

    @property
    def left(self):
        return self.cases - len(self.outcomes)

    @property
    def exit_code(self):
        return 3 if self.left or self.failures else 0

    def text(self):
        """Lines for the terminal."""
        done = len(self.outcomes) - len(self.failures)
        lines = [f"{self.name}: {done} of {self.cases} cases completed, {len(self.failures)} failed, {self.left} to run"
                 + (" (running)" if self.running else "")]
        for case, outcome in list(self.failures.items())[:SHOWN]:
            lines.append(f"  {case} {outcome['status']}: {outcome['reason']}")
            lines += [f"      {line}" for line in outcome.get("log", "").splitlines()[-3:]]
        if len(self.failures) > SHOWN:
            lines.append(f"  and {len(self.failures) - SHOWN} more: failures.txt has them all")
        if self.failures:
            lines.append(f"  once more: ./halofix sweep retry --failed {self.directory}")
        if self.left and not self.running and self.outcomes:
            lines.append(f"  to go on: ./halofix sweep resume {self.directory}")
        return "\n".join([*lines, f"  {self.directory}"])

    def estimate(self):
        """{seconds, memory_MiB} of the most demanding case that is completed, and mean_seconds; {} if there is none."""
        known = [o for o in self.outcomes.values() if o["status"] == "completed" and o["seconds"]]
        if not known:
            return {}
        memory = [o["result"]["memory_MiB"] for o in known if o["result"].get("memory_MiB")]
        seconds = [o["seconds"] for o in known]
        return {"seconds": max(seconds), "mean_seconds": sum(seconds) / len(seconds)} | ({"memory_MiB": max(memory)} if memory else {})

    def forecast(self, cores):
        """What is to be run and what it will cost, as lines."""
        lines = [f"{self.name}: {self.cases} cases ({self.rows} rows), {self.meshes} distinct meshes, {self.jobs} jobs, "
                 f"{self.ranks} rank{'s' if self.ranks > 1 else ''} a case"]
        seconds = [o["seconds"] for o in self.outcomes.values() if o["status"] == "completed" and o["seconds"]]
        if not seconds:
            return [*lines, "cost: not known; --pilot runs one case and times it"]
        mean = sum(seconds) / len(seconds)
        hours = self.left * mean * self.ranks / 3600
        at_once = max(1, cores // self.ranks)
        return [*lines, f"cost: {hours:.3g} core-hours for {self.left} cases, at {mean:.3g} s each (from {len(seconds)} that "
                f"{'are' if len(seconds) > 1 else 'is'} completed); {_span(self.left * mean / at_once)} on {cores} core{'s' if cores > 1 else ''}"]


def status(directory):
    """The State of the sweep in `directory`. Raises BadInput if there is none."""
    directory = Path(directory)
    plan = plans.load(directory)
    return State(plan["name"], directory, len(plan["cases"]), outcomes(directory, plan), _running(directory), len(plan["points"]),
                 len({what["mesh"] for what in plan["cases"].values()}), len(plan["batches"]), plan["ranks"])


def outcomes(directory, plan):
    """{case: outcome} of the cases of the plan that are through."""
    found = {}
    for case in finished(directory) & plan["cases"].keys():
        try:
            found[case] = json.loads((directory / "outcomes" / f"{case}.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # taken away this moment by a retry, or cut off by a power failure
            continue
    return {case: found[case] for case in plan["cases"] if case in found}


def finished(directory):
    """The cases that have an outcome."""
    try:
        return {entry.name[:-5] for entry in os.scandir(directory / "outcomes") if entry.name.endswith(".json")
                and not entry.name.startswith(".")}
    except FileNotFoundError:
        return set()


def usable_cores():
    return len(os.sched_getaffinity(0))


def planned(file, out=None, ranks=None):
    """Make or renew the directory of a sweep file; returns it. What is finished there stays."""
    plan = plans.made(file, ranks)
    directory = Path(out) if out is not None else Path("results") / runner.directory_name(plan.name)
    if directory.exists() and not (directory / "plan.json").exists() and any(directory.iterdir()):
        raise BadInput(f"{directory} exists and is not a sweep; name another place with --out")
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        plan.write(directory)
    return directory


def pilot(directory):
    """Run and time one case, from the middle of the design; an ordinary case whose result counts. Returns why it failed, or ''."""
    plan = plans.load(directory)
    case = list(plan["cases"])[len(plan["cases"]) // 2]
    command = [sys.executable, "-m", "scenarios.sweeps.cases", "case", case]
    done = subprocess.run(command, cwd=directory, env=solver.environment())
    found = outcomes(directory, plan).get(case)
    if found is None:
        raise Environment(f"the pilot case was not finished (code {done.returncode}); {directory}/cases/{case}/log has the details")
    if found["status"] != "completed":
        return f"the pilot case {found['status']}: {found['reason']}; {directory}/cases/{case}/log has the details"
    return ""


def run(directory, cores=None, profile=None):
    """Run what is not through yet of the sweep in `directory`, and return its State. Raises Environment.

    cores: used at once (with a cluster's profile: jobs at once); profile: a Snakemake profile, `slurm` for the shipped one.
    """
    directory = Path(directory)
    command = _command(directory, cores, profile)
    with _locked(directory) as lock:
        state = replace(status(directory), running=False)  # the lock is ours
        if not state.left:
            return state
        if plans.load(directory).get("source") != source(*plans.PHYSICS):
            print(f"halofix: the code has changed since {directory} was planned: what is run now may differ from what is finished; "
                  "`./halofix sweep FILE` makes a new plan, whose cases are all of one state", file=sys.stderr, flush=True)
        _open_again(directory, plans.load(directory), state)
        _enter_estimate(directory, state.estimate())
        before = len(state.outcomes)
        with open(directory / LOG, "ab") as log:
            engine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=solver.environment(),
                                      pass_fds=[lock.fileno()], start_new_session=True, preexec_fn=_ends_with_us)
            code = _watched(engine, directory, state)
    state = status(directory)
    if code and state.left:
        trouble = f"{_trouble(directory)} ({directory}/{LOG})"
        if len(state.outcomes) == before:
            raise Environment(f"no case was finished; {trouble}")
        if os.strerror(errno.ENOSPC) in trouble:
            raise Environment(trouble)
        print(f"halofix: the engine stopped early: {trouble}", file=sys.stderr, flush=True)
    return state


def retry(directory, cores=None, profile=None):
    """Run the cases that failed or stopped short once more, from the start."""
    directory = Path(directory)
    _command(directory, cores, profile)  # what is wrong with the order is told before anything is taken away
    with _locked(directory):
        state, plan = status(directory), plans.load(directory)
        for case in state.failures:
            for left in (directory / "cases" / case).glob("*result*"):  # also what a killed process has left, .result.*.tmp
                shutil.rmtree(left, ignore_errors=True)
            (directory / "outcomes" / f"{case}.json").unlink()
        for name, cases in plan["batches"].items():
            if state.failures.keys() & set(cases):
                (directory / "batches" / f"{name}.done").unlink(missing_ok=True)
    return run(directory, cores, profile)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _command(directory, cores, profile):
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--directory", str(directory.resolve()),
             "--keep-going", "--nolock", "--ignore-incomplete", "--drop-metadata", "--rerun-triggers", "mtime",
             "--scheduler", "greedy", "--nocolor"]
    ranks = plans.load(directory)["ranks"]
    if profile is None:
        solver.check_ranks(ranks)
        if cores is not None and cores < ranks:
            raise BadInput(f"-j {cores} is less than the {ranks} ranks of one case")
        return [*words, "--cores", str(cores or usable_cores())]
    found = PROFILES / profile if (PROFILES / profile).is_dir() else Path(profile)
    if not (found / "config.yaml").exists():
        shipped = ", ".join(sorted(entry.name for entry in PROFILES.iterdir()))
        raise BadInput(f"--profile {profile}: there is no {found}/config.yaml; shipped: {shipped}, or name a directory")
    return [*words, "--profile", str(found.resolve()), *(["--jobs", str(cores)] if cores else [])]


def _ends_with_us():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell has us ignore it when we are started in the background
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: Snakemake then starts no more jobs


@contextmanager
def _locked(directory):
    """The directory for us alone; waits for another engine that is still at work there."""
    with open(directory / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{directory}: another process works on this sweep; waiting for it to end", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield lock


def _running(directory):
    try:
        with open(directory / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _open_again(directory, plan, state):
    """Let the batches run whose cases have no outcome: what a power failure has cut off is none, though its batch was marked as done."""
    missing = plan["cases"].keys() - state.outcomes.keys()
    for case in missing & finished(directory):  # or has one by now, of a batch that has outlived its engine
        file = directory / "outcomes" / f"{case}.json"
        try:
            json.loads(file.read_text())
        except json.JSONDecodeError:
            file.unlink()
    for name, cases in plan["batches"].items():
        if missing & set(cases):
            (directory / "batches" / f"{name}.done").unlink(missing_ok=True)


def _enter_estimate(directory, estimate):
    """What finished cases took, for the time and memory that a batch system is asked for."""
    if estimate:
        plan = plans.load(directory)
        files.replace(directory / "plan.json", json.dumps(plan | {"estimate": estimate}, indent=0))


def _watched(engine, directory, state):
    """Show how far the cases are until the engine ends; its exit code. At Ctrl-C or SIGTERM it is stopped, in order."""
    cases = plans.load(directory)["cases"].keys()
    with solver.terminable():
        try:
            with _bar(state) as show:
                while engine.poll() is None:
                    begun = time.monotonic()
                    show(len(finished(directory) & cases))
                    time.sleep(max(0.3, 20 * (time.monotonic() - begun)))
                show(len(finished(directory) & cases))
            return engine.returncode
        except KeyboardInterrupt:
            print(f"halofix: stopping the running cases; to go on: ./halofix sweep resume {directory}", file=sys.stderr, flush=True)
            solver.end(engine, (signal.SIGINT, signal.SIGKILL), PATIENCE)
            return COMPLETED


@contextmanager
def _bar(state):
    """A function of the number of finished cases that shows it: a bar on a terminal, a line now and then elsewhere."""
    if sys.stdout.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}", markup=False), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, TextColumn("left"), transient=True, speed_estimate_period=3600) as bar:
            task = bar.add_task(state.name, total=state.cases, completed=len(state.outcomes))
            yield lambda done: bar.update(task, completed=done)
        return
    begun, last = time.monotonic(), [0.0, -1]

    def line(done):
        now = time.monotonic()
        if done == last[1] or (now - last[0] < 10 and done < state.cases):
            return
        last[:] = now, done
        new = done - len(state.outcomes)
        pace = f", {(now - begun) / new * (state.cases - done) / 60:.1f} min left" if new > 0 and done < state.cases else ""
        print(f"{state.name}: {done} of {state.cases} cases{pace}", flush=True)

    yield line


def _span(seconds):
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"


def _trouble(directory):
    """The telling line of the engine's log."""
    lines = [line.strip() for line in (directory / LOG).read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines[-200:] if ("rror" in line or line.startswith("halofix")) and line != "WorkflowError:"]
    return (telling or lines or ["the engine says nothing"])[-1]
