"""report.html of a sweep, in one file with its figures: `write(directory)`; reads plan, outcomes and table only."""

from pathlib import Path

from scenarios import tables
from scenarios.page import inline, rendered
from scenarios.sweeps import emulator, engine, figures, results, sensitivity
from scenarios.sweeps import plan as plans

MOST_ROWS = 1000  # of the table in the page; table.csv has all


def write(directory):
    """Draw the figures and write the report of the sweep as it stands; returns its path."""
    directory = Path(directory)
    plan, state = plans.load(directory), engine.status(directory)
    table = results.table(directory, plan, state.outcomes)
    outputs = figures.drawable(plan, table)
    models = {output: emulator.fitted(plan, table, output) if i < figures.MOST else None for i, output in enumerate(outputs)}
    drawn = figures.drawn(directory, plan, table, models)
    seconds = [o["seconds"] * o["ranks"] for o in state.outcomes.values() if o["seconds"]]
    emulators = [(figures.words(output), model) for output, model in models.items() if model]
    governing = sensitivity.rows(plan, table, models)
    if governing:
        tables.write_csv(directory / "sensitivity", governing)
    return rendered(
        directory, "sweep.html", title=plan["name"], plan=plan, state=state, done=len(state.outcomes) - len(state.failures),
        core_hours=sum(seconds) / 3600, figures=[(inline(f.path), f.caption) for f in drawn], emulators=emulators, governing=governing, words=figures.words,
        columns=[c for c in table.columns if c not in ("reason", "ranks")], rows=table.head(MOST_ROWS).to_dict("records"), cut=len(table) > MOST_ROWS,
        failures=[(case, plan["cases"][case]["changes"], outcome) for case, outcome in state.failures.items()][:50],
        cell=_cell,
    )


def _cell(value):
    if value is None or value != value:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
