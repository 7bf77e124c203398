"""What a signal or a full disk leaves of a run: its curve, a verdict, a way to go on."""

import errno
import os
from pathlib import Path
import shutil
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest

import meshes
import scenarios
from scenarios import runner, solve
from scenarios.result import Comparison
from scenarios.trouble import Environment
from scenarios.unfinished import running
from standin import CYLINDER, DONE, STEPS, command, names, wait_for_curve


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_its_curve(bench, sign):
    bench(STEPS + "time.sleep(60)")
    begun = time.monotonic()
    threading.Timer(0.0, lambda: (wait_for_curve(), os.kill(os.getpid(), sign))).start()
    result = scenarios.run(CYLINDER, out="here")
    assert (result.status, result.exit_code, len(result.curve)) == ("partial", 3, 3)
    assert result.reason == "interrupted at 0.060 mm and 150 N" and time.monotonic() - begun < 20
    assert names(".") == {"here"}


@pytest.mark.mpi
@pytest.mark.skipif(not shutil.which("prterun"), reason="needs OpenMPI 5")
def test_each_run_has_a_folder_for_what_mpirun_keeps(bench, monkeypatch, tmp_path):
    """A killed mpirun leaves its files behind, named by its process number; the next one with that number would not start."""
    write = "import os, pathlib; pathlib.Path('seen').open('a').write(os.environ['PMIX_SERVER_TMPDIR'] + '\\n')"
    monkeypatch.setattr(solve, "command", lambda *_: ["mpirun", "-n", "1", sys.executable, "-c", write])
    for name in ("first", "second"):
        scenarios.run(CYLINDER, out=name)
    folders = {Path(line).parent for line in Path("seen").read_text().splitlines()}
    monkeypatch.setenv("PRTE_MCA_prte_tmpdir_base", str(tmp_path))
    scenarios.run(CYLINDER, out="third")
    assert Path(Path("seen").read_text().splitlines()[2]).parent == tmp_path, "where the user has named a folder it is that"
    assert len(folders) == 2 and all(folder.name.startswith("halofix-mpi-") and not folder.exists() for folder in folders)


SLOW_TO_END = STEPS + "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(%s), sys.exit(1))); time.sleep(60)"


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_changes_no_verdict(bench, second):
    """Ctrl-C comes from the terminal, SIGTERM from the launcher or the batch system as well."""
    bench(SLOW_TO_END % 0.5)

    def both():
        wait_for_curve()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        os.kill(os.getpid(), second)

    (thread := threading.Thread(target=both)).start()
    result = scenarios.run(CYLINDER, out="here")
    thread.join()
    assert (result.status, result.exit_code) == ("partial", 3) and result.reason == "interrupted at 0.060 mm and 150 N"
    assert "to go on: ./halofix run --resume here" in result.text() and names(".") == {"here"}


def test_a_second_ctrl_c_ends_a_solver_that_does_not_stop(bench):
    bench(SLOW_TO_END % 60)

    def twice():
        wait_for_curve()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(solve.TOGETHER + 0.2)
        os.kill(os.getpid(), signal.SIGINT)

    (thread := threading.Thread(target=twice)).start()
    begun = time.monotonic()
    result = scenarios.run(CYLINDER, out="here")
    thread.join()
    assert result.reason == "interrupted at 0.060 mm and 150 N" and time.monotonic() - begun < solve.GRACE


def test_ctrl_c_while_the_report_is_written(bench, monkeypatch, capsys):
    """What was computed is kept; the command line says how to go on, and has the exit code of what stopped short."""
    with monkeypatch.context() as interrupting:
        interrupting.setattr(runner, "write_report", lambda _: os.kill(os.getpid(), signal.SIGTERM))
        code = command(interrupting, "run", CYLINDER, "--out", "here")
    said = capsys.readouterr().err
    assert code == 3 and "to go on: ./halofix run --resume here\nhalofix: interrupted\n" in said
    bench(DONE)
    assert runner.resume("here").status == "completed" and names(".") == {"here"}


def test_ctrl_c_while_a_comparison_is_reported(bench, monkeypatch, capsys):
    reports = iter([lambda: "", lambda: os.kill(os.getpid(), signal.SIGINT)])  # of the run, of the comparison
    monkeypatch.setattr(runner, "write_report", lambda _: next(reports)())
    assert command(monkeypatch, "compare", CYLINDER, "--out", "here") == 3
    assert "to write their report: ./halofix report here" in capsys.readouterr().err and len(Comparison("here").results()) == 1


def test_ctrl_c_while_the_mesh_is_made(bench, monkeypatch, capsys):
    monkeypatch.setattr(meshes, "build", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    code = command(monkeypatch, "run", CYLINDER, "--out", "here")
    said = capsys.readouterr().out
    assert code == 3 and "failed, interrupted before the load was applied" in said and "run --resume here" in said


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_forked_meanwhile_is_ended_as_any_other():
    here, there = os.pipe()
    with solve.terminable():
        child = os.fork()
        if child == 0:
            os.write(there, b"!")
            time.sleep(60)
            os._exit(0)
        os.read(here, 1)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def no_room():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_space(name, monkeypatch):
    """The disk is full when a file of this name is to be written."""
    write = runner.files.replace

    def replace(file, text):
        if file.name == name:
            no_room()
        write(file, text)

    monkeypatch.setattr(runner.files, "replace", replace)


def test_a_full_disk_keeps_what_was_computed(bench, monkeypatch, capsys):
    """Not even the summary can be written: the working directory stays, and the run goes on from it."""
    bench(STEPS + "sys.exit('OSError: no space left')")
    with monkeypatch.context() as full:
        no_space("result.json", full)
        with pytest.raises(Environment, match="at 0.060 mm and 150 N; the result cannot be written .No space left"):
            scenarios.run(CYLINDER, out="here")
    assert "to go on: ./halofix run --resume here" in capsys.readouterr().err
    (kept,) = Path(".").glob(".here.*.tmp")
    assert (kept / "curve.csv").read_text().count("\n") == 4
    bench(DONE)
    result = runner.resume("here")
    assert result.status == "completed" and len(result.curve) == 3 and names(".") == {"here"}


def test_a_solver_that_fills_the_disk(bench, monkeypatch):
    """It dies without a word over a state that is half written; the report finds no room either."""
    usage = SimpleNamespace(free=0)
    monkeypatch.setattr(runner.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(runner, "write_report", lambda _: no_space("provenance.json", monkeypatch))
    bench(STEPS + "open(d + '/checkpoint.tmp.npz', 'w').write('half'); sys.exit(1)")
    result = scenarios.run(CYLINDER, out="here")
    assert result.status == "partial" and "no space is left on the disk at 0.060 mm and 150 N" in result.reason
    assert "checkpoint.tmp.npz" not in names("here") and "provenance.json" in names("here")


def test_a_file_that_finds_no_room_leaves_the_old_one(tmp_path, monkeypatch):
    (file := tmp_path / "result.json").write_text("old")
    monkeypatch.setattr(Path, "rename", lambda *_: no_room())
    with pytest.raises(OSError, match="No space"):
        runner.files.replace(file, "new")
    assert file.read_text() == "old" and names(tmp_path) == {"result.json"}


def test_a_full_disk_while_a_step_is_prepared(toggling, monkeypatch):
    """The cycling before it is a result; the run says where it stopped, and that the machine is at fault."""
    file, _ = toggling
    prepare = runner._prepare

    def full(path, scenario, stage, directory, how):
        if stage.folder == "4-cycle":
            (directory / "run.log").mkdir()  # it cannot be written either
            no_room()
        prepare(path, scenario, stage, directory, how)

    monkeypatch.setattr(runner, "_prepare", full)
    result = scenarios.run(file)
    assert (result.status, result.exit_code, result.load_at_loosening_N) == ("partial", 4, 190.0)
    assert result.reason == "No space left on device before the first step of the cycle"


def test_what_was_never_given_to_the_solver_leaves_nothing(bench, monkeypatch):
    no_space("problem.json", monkeypatch)
    no_space("result.json", monkeypatch)
    with pytest.raises(Environment, match="before the first step of the pullout; the result cannot be written"):
        scenarios.run(CYLINDER, out="here")
    assert not names(".")


def test_a_number_that_another_process_has_now_is_no_owner(tmp_path):
    """One that began after the directory was last used has only the number of its owner, as in containers, where numbers start anew."""
    directory = tmp_path / f".here.{os.getppid()}.tmp"
    directory.mkdir()
    assert running(tmp_path / "here") == os.getppid()
    os.utime(directory, (1e9, 1e9))
    assert running(tmp_path / "here") is None
