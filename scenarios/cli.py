"""The command line: what a user types, in a user's words. `python -m scenarios.cli VERB ...`

Everything heavy is imported by the verb that needs it, so that help and checks answer at once.
Exit codes: 0 completed, 2 bad input, 3 stopped short (the partial result is kept), 4 environment.
"""

import errno
from pathlib import Path
import sys
from typing import Annotated

import typer
import typer.core

COMPLETED, BAD_INPUT, STOPPED_SHORT, ENVIRONMENT = 0, 2, 3, 4
# environment/sandbox.sh has the folders of the host that there are; in / itself, /usr and /etc it has none to write in
READ_ONLY = "; a new folder in /, /usr or /etc is out of reach: make it first (mkdir), or name another place"


class _Halofix(typer.core.TyperGroup):
    """The verbs; Ctrl-C, which typer would end without a word, is told and has its exit code."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            print("halofix: interrupted", file=sys.stderr)
            raise typer.Exit(STOPPED_SHORT) from None


app = typer.Typer(
    name="halofix",
    cls=_Halofix,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Will this screw hold? A finite-element laboratory for pedicle screws in weak bone.\n\n"
    "Describe in a scenario file what you would do to a specimen (put in a screw, loosen it, cement it, replace it, "
    "pull it out); halofix reports the pullout force in newtons, the stiffness, and how the screw fails. "
    "Start from a file in scenarios/, such as scenarios/native.yaml.",
    epilog="Two more verbs: `./halofix doctor` examines the installation, `./halofix test` runs the tests. "
    "Exit codes: 0 completed, 2 bad input, 3 stopped short (what was computed is kept), 4 environment.",
)


def _version(asked):
    if asked:
        from scenarios.provenance import version

        print(f"halofix {version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
):
    pass


File = Annotated[Path, typer.Argument(metavar="FILE", help="Scenario file (.yaml).", show_default=False)]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Scenario files (.yaml).", show_default=False)]
Ranks = Annotated[
    int | None,
    typer.Option("-n", "--ranks", metavar="N", min=1, help="Processor cores to solve on; by default what suits model and machine."),
]
Resolution = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="coarse, standard or fine, in place of what the file says.", show_default=False),
]


def _directory(name):
    if not name.strip():
        raise typer.BadParameter("no directory is named")
    return Path(name)


def _out(default, more=""):
    return typer.Option("--out", metavar="DIR", parser=_directory, help=f"Where the result goes (default: {default}){more}.", show_default=False)


@app.command()
def run(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Scenario file (.yaml).", show_default=False)] = None,
    out: Annotated[Path | None, _out("results/<name>", "; a completed run replaces an earlier one there")] = None,
    ranks: Ranks = None,
    resolution: Resolution = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Go on with the run of this result directory, which was killed or interrupted.",
                     show_default=False),
    ] = None,
):
    """Carry out one scenario: mesh, cycle, pull, report.

    Prints the force on the screw step by step and leaves a result directory with the curves (curve.csv of a pullout,
    cycles.csv of cyclic loading), the summary (result.json), figures and report.html. A run that was killed goes on from
    its last checkpoint: `halofix run --resume DIR`.
    """
    from scenarios import runner
    from scenarios.trouble import BadInput

    if (file is None) == (resume is None) or (resume is not None and (out or resolution)):
        raise BadInput("give a scenario file, or --resume DIR alone (with -n if you like)")
    if resume is not None:
        result = runner.resume(resume, ranks=ranks)
    else:
        result = runner.run(file, out=out, ranks=ranks, resolution=resolution)
    print(result.text())
    raise typer.Exit(result.exit_code)


@app.command()
def compare(
    files: Files,
    out: Annotated[Path | None, _out("results/comparison")] = None,
    ranks: Ranks = None,
    resolution: Resolution = None,
):
    """Carry out several scenarios and set them side by side.

    The first file is the reference: its peak force counts as 1. Writes one result directory a scenario, comparison.csv
    and report.html.
    """
    from scenarios.comparison import compare

    comparison = compare(files, out=out, ranks=ranks, resolution=resolution)
    comparison.print()
    raise typer.Exit(comparison.exit_code)


@app.command()
def check(files: Files):
    """Check scenario, study and sweep files without running them.

    Lists everything that is wrong with its line and what is allowed there, and warns of values outside what the
    material laws were measured on. Studies (for `validate`) and sweeps are told by their keys.
    """
    from scenarios import loader
    from scenarios.document import read_document

    wrong = 0
    for file in files:
        document = read_document(file)
        if loader.is_sweep(document):
            wrong += _sweep_is_wrong(file)
            continue
        if loader.is_study(document):
            from scenarios import study_loader

            reading = study_loader.judged(document, file)
        else:
            reading = loader.judged(document, file)
        wrong += bool(reading.problems)
        for problem in reading.problems:
            print(problem.text(file), file=sys.stderr)
        for warning in reading.warnings:
            print(f"{warning.text(file)} (warning)")
        if reading.content:
            print(f"{file}: ok, {reading.content.describe()}")
    raise typer.Exit(BAD_INPUT if wrong else COMPLETED)


def _sweep_is_wrong(file):
    """Print what is wrong with a sweep file, or what it is."""
    from scenarios.sweeps import plan
    from scenarios.trouble import BadInput

    try:
        made = plan.made(file)
    except BadInput as error:
        print(error, file=sys.stderr)
        return True
    print(f"{file}: ok, sweep of {len(made.cases)} cases; `./halofix sweep {file} --pilot --dry-run` says what they cost")
    return False


@app.command()
def validate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="STUDY...", show_default=False,
                       help="Study files (.yaml), or names of shipped ones (weiser2021); by default all that are shipped."),
    ] = None,
    out: Annotated[Path | None, _out("results/validation, of named studies results/validation_NAME or, of several, results/validation_some")] = None,
    ranks: Ranks = None,
    resolution: Resolution = None,
    samples: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=1000, show_default=False,
                     help="Runs of each arm for the interval of its prediction; by default 8 of axisymmetric arms (seconds each) "
                          "and none of others (minutes to an hour each), whose predictions are then marked as having no interval."),
    ] = None,
    run: Annotated[bool, typer.Option("--run/--no-run", help="Run what is missing, or use only what is there and what the repository publishes, with its samples, wrong models and finer meshes.")] = True,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Run deliberately wrong models as well, and say how much worse they are.")
    ] = False,
    finer: Annotated[
        bool, typer.Option("--finer", help="Run each study on the next finer mesh as well, and say how much that changes.")
    ] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write benchmarks/cadaveric, of all shipped studies, and its summary in README.md; freeze blind predictions. What is not asked to be run comes from what is published already.")
    ] = False,
):
    """Compare published experiments with simulations of them.

    A study file says what was tested, what was measured and what its source leaves open (examples: benchmarks/cadaveric/studies/).
    Each run is made once: what is in the output directory is used again. Writes tables, figures and report.html.
    """
    from scenarios import validation
    from scenarios.trouble import BadInput

    if publish and (files or resolution or samples is not None):
        raise BadInput("--publish writes the page of all shipped studies, as they say; name none, and neither --resolution nor --samples")
    content = validation.validate(files or (), out, ranks, resolution, samples, run, ablation, finer, publish)
    directory = out or validation.place(files or ())
    print(validation.text(content))
    if publish:
        from scenarios import publication

        for file in publication.publish(content, directory):
            print(file)
    print(directory / "report.html")
    missing = any(point["predicted"] is None for point in content["points"])
    raise typer.Exit(STOPPED_SHORT if run and missing else COMPLETED)


@app.command()
def verify(
    out: Annotated[Path | None, _out("results/verify")] = None,
    full: Annotated[bool, typer.Option("--full", help="Also the smallest step, and studies of penalty, nonlocal length and local damage (ten minutes more).")] = False,
):
    """Check that the equations are solved right.

    Manufactured solutions, patch tests, closed forms, and convergence in mesh and step with Richardson extrapolation and grid
    convergence index: some minutes on one core. Writes tables, figures and report.html.
    """
    from scenarios import verification

    content = verification.verify(out, full)
    print((out or Path("results/verify")) / "report.html")
    raise typer.Exit(COMPLETED if all(check["passed"] for check in content["checks"]) else STOPPED_SHORT)


@app.command()
def credibility(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DIR...", help="Directories of validations, verifications and results; by default results/validation "
                       "and results/verify.", show_default=False),
    ] = None,
    out: Annotated[Path | None, _out("results/credibility")] = None,
):
    """List the evidence for the model's credibility that exists, and the gaps.

    Against the factors of ASME V&V 40 and the categories of the FDA's guidance of 2023; each line links to the file that proves it.
    """
    from scenarios import credibility as index

    content = index.credibility(directories or (), out)
    for entry in content["factors"]:
        print(f"{entry['heading']}: evidence {len(entry['evidence'])}, gaps {len(entry['gaps'])}")
    for sentence in content["missing"]:
        print(sentence)
    print((out or Path("results/credibility")) / "report.html")


@app.command()
def schema():
    """Print the JSON Schema of scenario files.

    Editors complete and check a scenario with it while you type; the files in scenarios/ name it in their first line.
    """
    from scenarios.loader import schema_text

    print(schema_text(), end="")


@app.command()
def mesh(
    file: File,
    out: Annotated[Path | None, _out("results/<name>-mesh")] = None,
    resolution: Resolution = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Also write the mesh to this file: .inp (Abaqus, CalculiX), .vtu, .msh."),
    ] = None,
):
    """Make and draw the mesh of a scenario, without pulling."""
    from scenarios import runner

    for line in runner.mesh(file, out=out, resolution=resolution, export=export):
        print(line)


@app.command()
def report(directory: Annotated[Path, typer.Argument(metavar="DIR", help="A result directory, of a scenario, a comparison, a validation or a verification.", show_default=False)]):
    """Write the report of a result directory anew.

    Everything in it comes from the files of that directory.
    """
    from scenarios import runner

    print(runner.report(directory))


class _Verbs(typer.core.TyperGroup):
    """Verbs of `sweep`; what is none of them is a sweep file, to be run."""

    def parse_args(self, context, arguments):
        if arguments and arguments[0] not in self.commands and arguments[0] not in ("-h", "--help"):
            arguments = ["run", *arguments]
        return super().parse_args(context, arguments)


sweep = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Vary the parameters of a scenario: `halofix sweep FILE`, on this machine or on a cluster.\n\n"
    "A sweep file names a base scenario, its parameters and a design; see scenarios/sweeps/README.md.",
)
app.add_typer(sweep, name="sweep")

Sweep = Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a sweep.", show_default=False)]
Cores = Annotated[
    int | None,
    typer.Option("-j", "--cores", metavar="N", min=1, show_default=False,
                 help="Cores to use at once (default: all); on a cluster, jobs to have at once."),
]
Profile = Annotated[
    str | None,
    typer.Option(metavar="NAME", show_default=False, help="Run on a cluster: slurm, or the directory of a Snakemake profile."),
]


@sweep.command("run")
def sweep_run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Sweep file (.yaml).", show_default=False)],
    out: Annotated[Path | None, _out("results/<name>")] = None,
    cores: Cores = None,
    ranks: Annotated[int | None, typer.Option("-n", "--ranks", metavar="N", min=1, help="Processor cores a case is solved on.",
                                              show_default=False)] = None,
    profile: Profile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many cases there are and what they will cost (with --pilot one is run).")] = False,
    pilot: Annotated[bool, typer.Option("--pilot", help="First run and time one case, for the estimate of the cost.")] = False,
):
    """Run a sweep file; also without the word `run`.

    Cases that are finished in the directory already are not run again: a sweep that was killed goes on, one whose file has
    grown runs what is new.
    """
    from scenarios.sweeps import engine

    directory = engine.planned(file, out, ranks)
    if pilot and (failed := engine.pilot(directory)):
        print(f"halofix: {failed}", file=sys.stderr)
        raise typer.Exit(STOPPED_SHORT)
    if dry_run or pilot:
        for line in engine.status(directory).forecast(cores or engine.usable_cores()):
            print(line)
    if dry_run:
        print(f"nothing was run; the plan is in {directory}" if not pilot else str(directory))
        return
    _collected(directory, engine.run(directory, cores, profile))


@sweep.command("status")
def sweep_status(directory: Sweep):
    """Say how far a sweep is, and what has failed."""
    from scenarios.sweeps import engine

    print(engine.status(directory).text())


@sweep.command("resume")
def sweep_resume(directory: Sweep, cores: Cores = None, profile: Profile = None):
    """Go on with a sweep that was killed or interrupted; failed cases stay as they are."""
    from scenarios.sweeps import engine

    _collected(directory, engine.run(directory, cores, profile))


@sweep.command("retry")
def sweep_retry(
    directory: Sweep,
    failed: Annotated[bool, typer.Option("--failed", help="Those that failed or stopped short.")] = False,
    cores: Cores = None,
    profile: Profile = None,
):
    """Run failed cases once more, from the start."""
    from scenarios.sweeps import engine
    from scenarios.trouble import BadInput

    if not failed:
        raise BadInput("say which cases: `halofix sweep retry --failed DIR`")
    _collected(directory, engine.retry(directory, cores, profile))


@sweep.command("collect")
def sweep_collect(directory: Sweep):
    """Write table, figures and report of what is finished; also while the sweep is running."""
    from scenarios.sweeps import results

    for path in results.collect(directory):
        print(path)


def _collected(directory, state):
    """Table and report of a sweep that has ended, its last words and its exit code."""
    from scenarios.sweeps import results

    results.collect(directory)
    print(state.text())
    raise typer.Exit(state.exit_code)


def main():
    """Run the command line; whatever happens, the user reads a sentence and not a traceback."""
    from scenarios.solve import terminable
    from scenarios.trouble import BadInput, Environment

    try:
        with terminable():
            app(prog_name="halofix")
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_INPUT)
    except Environment as error:
        print(f"halofix: {error}", file=sys.stderr)
        sys.exit(ENVIRONMENT)
    except ImportError as error:
        print(f"halofix: {error}; `./halofix doctor` says what the environment lacks", file=sys.stderr)
        sys.exit(ENVIRONMENT)
    except OSError as error:
        about = f" ({error.filename})" if error.filename else ""
        about += READ_ONLY if error.errno == errno.EROFS else ""
        print(f"halofix: {error.strerror or error}{about}", file=sys.stderr)
        sys.exit(ENVIRONMENT)


if __name__ == "__main__":
    main()
