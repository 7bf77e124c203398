"""The launcher's decisions, with stand-ins for Python, bubblewrap and the package managers: nothing is downloaded."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenarios.provenance import version

REPOSITORY = Path(__file__).resolve().parents[1]

# What the launcher may call of the system; everything else on its PATH is a stand-in.
SYSTEM = (
    "bash sh sed sha256sum cut dirname readlink mkdir df awk tail tr rm cat grep flock setsid setpriv chmod mktemp "
    "mkfifo tar du uname paste sleep ls env mv id"
).split()

COMPLETE = 'case "$2" in --has) exit 0 ;; esac; echo "$NAME $*"'
INCOMPLETE = 'case "$2" in --has) exit 4 ;; esac; echo "$NAME $*"'
BWRAP = 'while [ $# -gt 0 ] && [ "$1" != setpriv ]; do shift; done; [ $# = 0 ] || echo "sandbox ${*:4}"'
MMDEBSTRAP = """
echo built >> "$COUNT"
for target; do case $target in */rootfs) mkdir -p "$target/usr/bin" "$target/etc" ;; esac; done
sleep "${SLOW:-0}"
exit "${BROKEN:-0}"
"""

pytestmark = pytest.mark.skipif(not all(map(shutil.which, SYSTEM)), reason="needs Linux with util-linux")


class Machine:
    """A copy of the launcher on a machine that has only what a test gives it."""

    def __init__(self, folder):
        self.programs, self.clone, self.count = folder / "bin", folder / "clone", folder / "count"
        self.cache = folder / "cache" / "halofix"
        self.programs.mkdir()
        for name in SYSTEM:
            (self.programs / name).symlink_to(shutil.which(name))
        self.clone.mkdir()
        for name in ("halofix", "environment", "environment.yml"):
            source = REPOSITORY / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.clone / name)
        self.variables = {
            "PATH": str(self.programs), "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"),
            "COUNT": str(self.count),
        }

    def give(self, name, script):
        program = self.programs / name
        program.unlink(missing_ok=True)
        program.write_text(f"#!{shutil.which('bash')}\nNAME={name}\n{script}\n")
        program.chmod(0o755)
        return str(program)

    def give_debian(self):
        self.give("python3", INCOMPLETE)
        self.give("id", 'case "$1" in -u) echo 0 ;; *) echo root ;; esac')
        self.give("apt-get", "exit 0")
        self.give("bwrap", BWRAP)
        self.give("mmdebstrap", MMDEBSTRAP)
        self.give("unshare", 'while [[ $1 = --* ]]; do shift; done; exec "$@"')

    def start(self, *arguments, variables={}, **options):
        return subprocess.Popen(
            [str(self.clone / "halofix"), *arguments], env=self.variables | variables, cwd=self.clone, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )

    def run(self, *arguments, **variables):
        process = self.start(*arguments, variables=variables)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    @property
    def builds(self):
        return len(self.count.read_text().split()) if self.count.exists() else 0

    @property
    def environments(self):
        return sorted(ready.parent.name for ready in self.cache.glob("*/ready"))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_named_python_comes_first(machine):
    machine.give("python3", COMPLETE)
    named = machine.give("other", COMPLETE)
    assert machine.run("check", "a b.yaml", HALOFIX_PYTHON=named) == (0, "other -m scenarios.cli check a b.yaml\n", "")


def test_named_python_of_this_folder(machine):
    shutil.move(machine.give("other", COMPLETE), machine.clone / "other")
    assert machine.run("test", HALOFIX_PYTHON="./other")[:2] == (0, "other -m pytest\n")


def test_named_python_that_is_not_there(machine):
    code, _, err = machine.run("check", HALOFIX_PYTHON="/nowhere/python")
    assert code == 4 and "/nowhere/python" in err and "unset" in err


def test_named_python_without_dolfinx(machine):
    code, _, err = machine.run("check", HALOFIX_PYTHON=machine.give("other", INCOMPLETE))
    assert code == 4 and "lacks" in err and "doctor" in err


def test_doctor_names_what_a_python_lacks(machine):
    bare = machine.give("bare", f'exec {sys.executable} -S "$@"')  # no site packages
    code, out, _ = machine.run("doctor", HALOFIX_PYTHON=bare)
    assert code == 4 and "WRONG" in out and "dolfinx cannot be imported" in out


def test_active_python_comes_before_the_managed_one(machine):
    machine.give_debian()
    machine.give("python3", COMPLETE)
    assert machine.run("schema") == (0, "python3 -m scenarios.cli schema\n", "")
    assert machine.builds == 0


def test_inside_nothing_is_nested(machine):
    machine.give_debian()
    assert machine.run("schema", HALOFIX_INSIDE="/somewhere")[1] == "python3 -m scenarios.cli schema\n"
    assert machine.builds == 0


def test_help_builds_nothing(machine):
    machine.give_debian()
    code, _, err = machine.run("--help")
    assert code == 0 and "builds the environment" in err and machine.builds == 0


def test_the_version_builds_nothing(machine):
    machine.give_debian()
    shutil.copy(REPOSITORY / "pyproject.toml", machine.clone)
    code, out, _ = machine.run("--version")
    assert (code, out, machine.builds) == (0, f"halofix {version()}\n", 0)
    machine.give("python3", COMPLETE)
    assert machine.run("--version")[1] == "python3 -m scenarios.cli --version\n"


def test_built_once(machine):
    machine.give_debian()
    code, out, err = machine.run("check", "a.yaml")
    assert (code, out) == (0, "sandbox python3 -m scenarios.cli check a.yaml\n"), err
    assert machine.run("test", "-k", "screw") == (0, "sandbox python3 -m pytest -k screw\n", "")
    assert machine.builds == 1


def test_other_requirements_make_another_environment(machine):
    machine.give_debian()
    requirements = machine.clone / "environment" / "requirements.txt"
    machine.run("check")
    requirements.write_text("# a comment changes nothing\n" + requirements.read_text())
    machine.run("check")
    assert len(machine.environments) == machine.builds == 1
    requirements.write_text(requirements.read_text() + "another==1.0\n")
    machine.run("check")
    assert len(machine.environments) == machine.builds == 2


def test_two_at_the_same_time(machine):
    machine.give_debian()
    first = machine.start("check", variables={"SLOW": "2"})
    while machine.builds == 0:
        time.sleep(0.05)
    code, out, err = machine.run("check")
    assert code == 0 and "waiting" in err and out.startswith("sandbox")
    assert first.wait(timeout=60) == 0 and machine.builds == 1


def test_root_builds_in_namespaces_of_its_own(machine):
    """A killed build must leave nothing of the host mounted in a folder that is deleted later."""
    machine.give_debian()
    machine.give("unshare", 'echo "$*" > "$COUNT.unshare"; while [[ $1 = --* ]]; do shift; done; exec "$@"')
    assert machine.run("check")[0] == 0
    words = Path(f"{machine.count}.unshare").read_text().split()
    assert {"--mount", "--pid", "--kill-child"} <= set(words) and "mmdebstrap" in words


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_interrupted_build(machine, how):
    machine.give_debian()
    process = machine.start("check", variables={"SLOW": "60"})
    while not list(machine.cache.glob("*/rootfs/etc")):
        time.sleep(0.05)
    (folder,) = machine.cache.glob("*/")
    leftover = folder / "rootfs" / "leftover"
    leftover.touch()
    process.send_signal(how)
    assert process.wait(timeout=60) != 0 and machine.environments == []
    assert machine.run("check")[0] == 0
    assert machine.environments == [folder.name] and not leftover.exists()


def test_failed_build(machine):
    machine.give_debian()
    code, _, err = machine.run("check", BROKEN="1")
    assert code == 4 and "build.log" in err and machine.environments == []
    assert machine.run("check")[0] == 0


def test_conda_comes_before_debian(machine):
    machine.give_debian()
    machine.give("micromamba", 'mkdir -p "$4/bin" && cp "$0.python" "$4/bin/python"')
    machine.give("micromamba.python", COMPLETE)
    (machine.programs / "cp").symlink_to(shutil.which("cp"))
    code, out, err = machine.run("schema")
    assert (code, out) == (0, "micromamba.python -m scenarios.cli schema\n"), err
    assert machine.builds == 0


def test_conda_that_fails_gives_way_to_debian(machine):
    machine.give_debian()
    machine.give("conda", "exit 1")
    code, out, err = machine.run("schema")
    assert code == 0 and out.startswith("sandbox") and "conda could not" in err


def test_ordinary_user_without_the_two_packages(machine):
    machine.give("python3", INCOMPLETE)
    machine.give("apt-get", "exit 1")
    machine.give("id", "echo 1000")
    code, _, err = machine.run("check")
    assert code == 4 and "apt-get install mmdebstrap bubblewrap" in err


def test_no_sandbox_allowed(machine):
    machine.give_debian()
    machine.give("bwrap", "echo no permission >&2; exit 1")
    code, _, err = machine.run("check")
    assert code == 4 and "no permission" in err and machine.builds == 0


def test_paths_of_the_host_stay_where_they_are(machine):
    machine.give_debian()
    machine.give("bwrap", 'printf "%s\\n" "$@"')
    arguments = machine.run("check", "/usr/local/share")[1].splitlines()
    binds = {arguments[i + 2]: arguments[i + 1] for i, word in enumerate(arguments) if word == "--bind"}
    for folder in ("/tmp", "/usr/local/share", "/" + machine.clone.parts[1]):
        assert not os.path.isdir(folder) or binds[folder] == folder
    assert "/usr" not in binds and "/etc" not in binds


def test_what_would_be_gone_with_the_sandbox_cannot_be_written(machine):
    """Folders of the host are bound; / itself, where new ones would be made, is read-only from then on."""
    machine.give_debian()
    machine.give("bwrap", 'printf "%s\n" "$@"')
    arguments = machine.run("run", "a.yaml", "--out", "/nowhere/pullout")[1].splitlines()
    assert "--die-with-parent" not in arguments and "/usr/lib/halofix" not in arguments  # what the build before it needed
    sealed = arguments.index("--remount-ro")
    assert arguments[sealed + 1] == "/" and arguments[sealed + 2] == "--chdir" and "--bind" not in arguments[sealed:]
    assert not any(word.startswith("/nowhere") for word in arguments[:sealed])


@pytest.mark.skipif(not Path(os.environ.get("HALOFIX_INSIDE", "/nowhere"), "rootfs").is_dir(), reason="runs in no sandbox")
@pytest.mark.parametrize("folder", ["/", "/usr", "/etc"])
def test_in_the_sandbox_nothing_is_written_where_it_would_be_lost(folder):
    assert not os.access(folder, os.W_OK) and os.access("/tmp", os.W_OK)


# -- being stopped -----------------------------------------------------------------------------------------------------

# bubblewrap as it is to signals: it waits for its child, and dies of those that it does not ignore.
STAYING = 'while [ $# -gt 0 ] && [ "$1" != env ] && [ "$1" != setpriv ]; do shift; done; PATH=$PROGRAMS; [ $# = 0 ] || { "$@" <&0 & wait $!; }'
WORKING = """
import signal, sys, time
heard = []
for sign in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(sign) != signal.SIG_IGN:
        signal.signal(sign, lambda sign, _: heard.append(signal.Signals(sign).name))
print("working", flush=True)
end = time.monotonic() + float(sys.argv[1])
while not heard and time.monotonic() < end:
    time.sleep(0.05)
time.sleep(1)  # the last result
print("kept", *heard, flush=True)
sys.exit(3 if heard else 0)
"""


@pytest.fixture
def working(machine):
    """A machine whose Python works inside the sandbox until it is stopped, and then needs a second."""
    if subprocess.run(["env", "--default-signal=INT", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("the env of coreutils is older than Debian 13's")
    machine.give_debian()
    machine.run("check")
    (machine.clone / "working.py").write_text(WORKING)
    machine.give("python3", f'case "$2" in --has) exit 4 ;; esac; exec {sys.executable} -S "$@"')
    machine.give("bwrap", STAYING)
    machine.variables["PROGRAMS"] = str(machine.programs)
    return machine


@pytest.mark.parametrize("to_group", [False, True])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_launcher_waits_for_what_it_stops(working, sign, to_group):
    process = working.start("python", "working.py", "60", start_new_session=True)
    assert process.stdout.readline() == "working\n"
    (os.killpg if to_group else os.kill)(process.pid, sign)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, set(out.split())) == (3, {"kept", sign.name}), err


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_ctrl_c_at_a_terminal(working):
    """It reaches the launcher, bubblewrap and Python, and acts once."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(working.clone)
        os.execve("halofix", ["halofix", "python", "working.py", "60"], working.variables)
    shown = b""
    try:
        while piece := os.read(terminal, 1000):
            shown += piece
            if piece.endswith(b"working\r\n"):
                os.write(terminal, b"\x03")
    except OSError:  # the last process that has the terminal has ended
        pass
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 3, shown
    assert shown.split() == [b"working", b"^Ckept", b"SIGINT"]


def test_a_job_in_the_background_does_not_hear_ctrl_c(working):
    process = working.start("python", "working.py", "1", start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert process.stdout.readline() == "working\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "kept\n" and process.returncode == 0


def test_a_launcher_that_is_killed_leaves_nothing_running(working):
    process = working.start("python", "working.py", "60", start_new_session=True)
    assert process.stdout.readline() == "working\n"
    process.kill()
    assert process.communicate(timeout=60)[0] == "kept SIGTERM\n"
