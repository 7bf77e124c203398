"""Broken scenario files: each error at its line with its remedy, all at once, nothing written, never a traceback.

Every file in tests/broken ends with what must be said of it, `# expect LINE: FRAGMENT`, one line an error; nothing else
may be said. Files that are no text at all are made here.
"""

import os
from pathlib import Path
import subprocess
import sys

import pytest

from scenarios import runner
from scenarios.cli import main
from scenarios.loader import BadScenario, load, read
from scenarios.variation import varied

ROOT = Path(__file__).resolve().parent.parent
BROKEN = sorted((ROOT / "tests" / "broken").glob("*.yaml"))
NATIVE = (ROOT / "scenarios" / "native.yaml").read_text()


def expectations(file):
    """[(line, fragment), ...] from the last comments of a broken file."""
    wanted = [line.removeprefix("# expect ") for line in file.read_text().splitlines() if line.startswith("# expect ")]
    return [(int(line), fragment.strip()) for line, _, fragment in (text.partition(":") for text in wanted)]


def command(arguments, monkeypatch, directory):
    """Exit code of `halofix ARGUMENTS` run in `directory`."""
    monkeypatch.chdir(directory)
    monkeypatch.setattr(sys, "argv", ["halofix", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code or 0


def test_there_are_many():
    assert len(BROKEN) >= 100


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_each_error_with_line_and_remedy(file):
    found = [(problem.line, problem.text(file)) for problem in read(file).problems]
    wanted = expectations(file)
    assert wanted, "a broken file says what is wrong with it"
    for line, fragment in wanted:
        assert any(at == line and fragment in text for at, text in found), f"{line}: {fragment}\n{found}"
    assert len(found) == len(wanted), found
    for line, text in found:
        assert text.startswith(f"{file}:{line}: ") and "\n" not in text and len(text) < 500


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
@pytest.mark.parametrize("verb", ["check", "run", "compare", "mesh"])
def test_exit_code_2_and_nothing_written(file, verb, tmp_path, monkeypatch, capsys):
    assert command([verb, file], monkeypatch, tmp_path) == 2
    assert not list(tmp_path.iterdir())
    output = capsys.readouterr()
    assert "Traceback" not in output.err + output.out
    assert f"{file}:{expectations(file)[0][0]}: " in output.err


def test_a_decimal_comma_between_braces_is_told(tmp_path):
    """YAML makes `{diameter: 6,5 mm}` a diameter of 6 and a key `5 mm`."""
    file = tmp_path / "comma.yaml"
    file.write_text("screw: {diameter: 6,5 mm, length: 45 mm, pitch: 2,5 mm, core_diameter: 4.5 mm}\nmodel: axisymmetric\n"
                    "specimen: {shape: cylinder, diameter: 40 mm, length: 60 mm, bmd: 70,5 mg/cm^3}\nprotocol: [{insert: {}}, {pullout: {rate: {5 mm: }}}]\n")
    found = [problem.text("comma.yaml") for problem in read(file).problems]
    comma = "has a decimal comma; a number has a decimal point"
    assert found[:3] == [f"comma.yaml:1: screw.diameter: '6,5 mm' {comma}", f"comma.yaml:1: screw.pitch: '2,5 mm' {comma}",
                         f"comma.yaml:3: specimen.bmd: '70,5 mg/cm^3' {comma}"]
    assert "rate.5 mm: has no value" in found[3]


@pytest.mark.parametrize("change, said", [
    ({"resolution": {"thread": "1 mm", "near": "1 mm", "far": "3 mm", "sectors": 7}}, "sectors: `7` is not possible; allowed is a multiple of 2"),
    ({"protocol.cycle.ratio": float("nan")}, "ratio: `nan` is not a number to compute with"),
])
def test_no_words_but_our_own(tmp_path, change, said):
    file = tmp_path / "x.yaml"
    file.write_text(varied((ROOT / "scenarios" / "toggle_native.yaml").read_text(), change))
    problem, = read(file).problems
    assert problem.text("").endswith(said)


UNREADABLE = {
    "empty": (b"", "the file is empty"),
    "blank": (b"\n\n  \n", "the file is empty"),
    "null": (b"null\n", "the file is empty"),
    "binary": (bytes(range(256)) * 20, "not a text file"),
    "control_characters": (b"specimen: \x00\x01\n", "not a text file"),
    "utf16": ("specimen:\n".encode("utf-16"), "not a text file"),
    "deep": (b"[" * 20000, "nested too deeply"),
    "laughs": (b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("k"))), "endless"),
    "too_long": (b"# long\n" * 200_000, "at most 1 MB"),
    "version": (b"%YAML 99999999999999999999.1\n---\na: 1\n", "YAML"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNREADABLE)
def test_files_that_are_no_scenario(kind, tmp_path, monkeypatch, capsys):
    content, fragment = UNREADABLE[kind]
    file = tmp_path / f"{kind}.yaml"
    file.write_bytes(content)
    assert command(["run", file], monkeypatch, tmp_path) == 2
    error = capsys.readouterr().err
    assert fragment in error and "Traceback" not in error and len(error) < 2000
    assert [f.name for f in tmp_path.iterdir()] == [file.name]


def test_missing_file_suggests_the_one_meant(tmp_path):
    (tmp_path / "native.yaml").write_text(NATIVE)
    with pytest.raises(BadScenario, match=r"no such file \(did you mean .*native.yaml"):
        load(tmp_path / "nativ.yaml")


@pytest.mark.parametrize("what", ["missing.yaml", ".", "/dev/null", "no/such/place.yaml", "a\0b", "x" * 5000])
def test_what_is_no_file(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problems = read(what).problems
    assert len(problems) == 1 and problems[0].line == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    file = tmp_path / "secret.yaml"
    file.write_text(NATIVE)
    file.chmod(0)
    assert "cannot be read" in read(file).problems[0].message


def test_all_files_of_a_comparison_are_checked_before_the_first_runs(tmp_path, monkeypatch, capsys):
    good = ROOT / "scenarios" / "native.yaml"
    bad = [ROOT / "tests" / "broken" / name for name in ("no_unit.yaml", "cycle.yaml")]
    assert command(["compare", good, *bad], monkeypatch, tmp_path) == 2
    error = capsys.readouterr().err
    assert all(str(file) in error for file in bad) and not list(tmp_path.iterdir())


def test_scenarios_of_one_name_cannot_be_compared(tmp_path, monkeypatch, capsys):
    (tmp_path / "native.yaml").write_text(NATIVE)
    files = [tmp_path / "native.yaml", ROOT / "scenarios" / "native.yaml"]
    assert command(["compare", *files], monkeypatch, tmp_path) == 2
    assert "overwrite the other" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    ["run"], ["run", "a.yaml", "b.yaml"], ["pull", "a.yaml"], ["run", "a.yaml", "-n", "0"],
    ["run", "a.yaml", "-n", "x"],
    ["check", "--fast", "a.yaml"], ["report", "nowhere"], ["compare"],
])  # fmt: skip
def test_bad_command_lines(arguments, tmp_path, monkeypatch, capsys):
    assert command(arguments, monkeypatch, tmp_path) == 2
    error = capsys.readouterr().err
    assert error and "Traceback" not in error and not list(tmp_path.iterdir())


def test_bad_resolution_on_the_command_line(tmp_path, monkeypatch, capsys):
    native = ROOT / "scenarios" / "native.yaml"
    assert command(["run", native, "--resolution", "fien"], monkeypatch, tmp_path) == 2
    assert "allowed: coarse, standard, fine" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_more_processes_than_cores_is_the_environment(tmp_path, monkeypatch, capsys):
    assert command(["run", ROOT / "scenarios" / "native.yaml", "-n", "4096"], monkeypatch, tmp_path) == 4
    assert "cores" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_something_else_in_the_way_is_left_alone(tmp_path, monkeypatch, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    arguments = ["run", ROOT / "scenarios" / "native.yaml", "--out", tmp_path / "thesis"]
    assert command(arguments, monkeypatch, tmp_path) == 2
    assert "is not a halofix result" in capsys.readouterr().err
    assert [f.name for f in tmp_path.rglob("*")] == ["thesis", "chapter.tex"]


def test_a_truncated_file_never_breaks_the_reader(tmp_path):
    file = tmp_path / "cut.yaml"
    for end in range(0, len(NATIVE), 7):
        file.write_text(NATIVE[:end])
        reading = read(file)
        assert reading.problems or reading.scenario


WEIRD = [
    "", "~", "[]", "{}", "[[]]", "{a: {b: c}}", ".nan", "-.inf", "1e999", "-0", "0x1F", "0o17", "true", "no",
    "2020-01-01",
    '""', '" "', "'%'", "mm", "1 mm^999999999", "1 /0", "1 mm/0", "1 mm**-9**9", "1 degC", "°", "６.５ mm", "\U0001f9b4",
    "x" * 3000, "1" * 3000 + " mm", "*a", "&a b", "!!set {a}", "!x y", "|\n  text", "<<", "insert", "preset",
]  # fmt: skip

CYCLES = """\
  - cycle:
      preset: weiser
      axis: [0, 0, 1]
      lever_arm: 10 mm
      ratio: 0.1
      frequency: 1 Hz
      tolerance: 2 %
  - cycle:
      start: 100 N
      ramp: 25 N every 250 cycles
      minimum: 10 N
      stop:
        head_displacement: 5 mm
        angle: 15 deg
        cycles: 1000
        load: 500 N
        stiffness_loss: 50 %
"""


@pytest.mark.parametrize("weird", WEIRD, ids=lambda weird: repr(weird[:12]))
def test_weird_values_never_break_the_reader(weird, tmp_path):
    """Each value of a scenario in turn replaced by something odd: a list of problems or a scenario, no exception."""
    whole = (ROOT / "scenarios" / "fenestrated.yaml").read_text().replace("  - pullout:", CYCLES + "  - pullout:")
    source, file = whole.splitlines(), tmp_path / "weird.yaml"
    file.write_text(whole)
    assert read(file).scenario, read(file).problems
    for at, line in enumerate(source):
        key, colon, _ = line.partition(":")
        if not colon or key.startswith("#"):
            continue
        file.write_text("\n".join([*source[:at], f"{key}: {weird}", *source[at + 1 :]]) + "\n")
        reading = read(file)
        assert reading.problems or reading.scenario


def test_the_process_itself(tmp_path):
    """What a shell sees: exit code and stderr of a real process, in under a second."""
    file = ROOT / "tests" / "broken" / "many_at_once.yaml"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "scenarios.cli", "check", file]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == len(expectations(file))


def test_run_from_python_raises_one_error_with_all_problems(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadScenario) as error:
        runner.run(ROOT / "tests" / "broken" / "many_at_once.yaml")
    assert len(error.value.problems) == 4
