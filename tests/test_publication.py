"""What is published of a validation: pages, frozen predictions, runs; figures that show what they say."""

import csv
import json
import re

import pytest
from typer.testing import CliRunner

from materials.ablation import ABLATIONS
from scenarios import case_runs, cli, comparing, publication, validation, validation_figures, validation_report
from scenarios.study import OUTCOMES, unit
from scenarios.trouble import BadInput
from test_studies import write
from test_validation import CHEAP


def content(predicted, date="2030-01-01", run="run"):
    point = comparing.Point("blinded", "blind", "cadaveric", "ratio", "a / b", predicted=predicted, low=1.0, high=2.0, samples=4, runs=[run])
    study = {"name": "blinded", "citation": "Nobody 2031", "kind": "cadaveric", "role": "blind", "assumed": [],
             "runs": [{"run": run, "status": "completed", "mesh": "standard"}, {"run": "never", "status": "not run", "mesh": "standard"}]}
    return {"halofix": {"version": "1", "commit": "c" * 40, "modified": False}, "date": date, "resolution": "standard", "points": [point.row()],
            "studies": [study], "agreement": [], "ranking": [], "ablation": [], "meshes": [], "commits": [], "samples": None, "seconds_simulated": 10.0, "seconds_here": 1.0}


def test_blind_predictions_are_frozen(tmp_path):
    front = tmp_path / "front.md"
    front.write_text("\n".join(["before", *publication.SUMMARY, "after"]))
    out, shown = tmp_path / "out", tmp_path / "shown"
    shown.mkdir()
    for run, date in (("first", "2029-12-31"), ("second", "2030-05-30"), ("third", "2030-12-30")):
        (out / "runs" / run).mkdir(parents=True)
        for name in case_runs.FILES:
            (out / "runs" / run / name).write_text(json.dumps({"finished": f"{date}T10:00:00", "halofix": {"version": "1", "commit": f"{run:x>40}"}}))

    def frozen():
        return (shown / "blind_predictions.csv").read_text().splitlines()

    publication.publish(content(1.5, run="first"), out, shown, front)
    before = frozen()
    publication.publish(content(1.5, "2030-02-02", run="first"), out, shown, front)
    assert frozen() == before and len(before) == 2, "the same runs say nothing new"
    publication.publish(content(1.6, "2030-06-01", "second"), out, shown, front)
    publication.publish(content(None, "2030-07-01", "second"), out, shown, front)
    assert frozen()[:2] == before and len(frozen()) == 3, "what is frozen stays, what is not predicted adds nothing"
    publication.publish(content(1.7, "2031-01-01", "third"), out, shown, front)
    assert [path.name for path in (shown / "runs").iterdir()] == ["third"], "what is shown, nothing else"
    (shown / "runs" / "never").mkdir()
    publication.publish(content(1.7, "2031-01-01", "third"), out, shown, front)
    assert (shown / "runs" / "never").exists(), "what could not be made this time is not lost"
    for _ in range(2):
        interval = content(1.7, "2031-01-01", "third")
        interval["points"][0]["low"] = 0.9
        publication.publish(interval, out, shown, front)
        assert len(frozen()) == 5 and frozen()[-1].split(",")[3] == "0.9", "samples that were run later are a revision"
    about = out / "runs" / "third" / "provenance.json"
    committed = about.read_text()
    about.write_text(committed.replace('"version"', '"modified": true, "version"'))
    with pytest.raises(BadInput, match="third: a blind prediction from code with changes that are not committed"):
        publication.publish(content(1.9, "2031-02-01", "third"), out, shown, front)
    about.write_text(committed)
    assert {path.name for path in (shown / "frozen").iterdir()} == {"first", "second", "third"}
    text = front.read_text()
    assert text.startswith("before") and text.endswith("after") and text.count("1 of 1 points predicted") == 1 and "2031-01-01" in text
    rows = list(csv.DictReader(frozen()))
    assert [(float(row["predicted"]), row["low"], row["date"]) for row in rows] == [
        (1.5, "1", "2029-12-31"), (1.6, "1", "2030-05-30"), (1.7, "1", "2030-12-30"), (1.7, "0.9", "2030-12-30")] and rows[0]["commit"] == "x" * 10, "those of the run"
    page = (shown / "README.md").read_text()
    assert "](frozen/first/result.json) | superseded on 2030-05-30 |" in page and "](frozen/third/result.json) | stands |" in page
    assert "CHANGELOG.md" in page and "Every revision is kept" in page
    for name in case_runs.FILES:  # the same run by other code
        (out / "runs" / "third" / name).write_text(json.dumps({"finished": "2031-05-05T10:00:00", "halofix": {"version": "1", "commit": "y" * 40}}))
    old = (shown / "frozen" / "third" / "result.json").read_text()
    for _ in range(2):
        publication.publish(content(1.8, "2031-06-01", "third"), out, shown, front)
        assert len(frozen()) == 6 and frozen()[-1].endswith("third-" + "y" * 10), "a correction of the code is a revision"
        assert old == (shown / "frozen" / "third" / "result.json").read_text() != (shown / "frozen" / ("third-" + "y" * 10) / "result.json").read_text()


def test_revisions_of_other_predictions_are_apart():
    rows = [{"study": "s", "what": what, "date": date} for what, date in (("a", "1"), ("b", "2"), ("a", "3"))]
    assert [row["revision"] for row in publication.standing(rows)] == ["superseded on 3", "stands", "stands"]


def test_publishing_loses_nothing(tmp_path, monkeypatch):
    """What is not asked to be run comes from what is published: samples, wrong models, finer meshes."""
    file, shown = write(tmp_path, text=CHEAP.replace("resolution: {thread: 1.5 mm, near: 2 mm, far: 5 mm, sectors: 6}", "resolution: coarse")), []
    monkeypatch.setattr(case_runs, "take_published", lambda plan: shown.append(plan))
    monkeypatch.setattr(case_runs, "carry_out", lambda plan, *_: (None, "not now"))
    monkeypatch.setattr(validation, "_write", lambda *_: None)
    kinds = {"wrong": lambda plan: bool(set(plan.edits) & set(ABLATIONS)), "finer": lambda plan: plan.resolution == "standard",
             "sample": lambda plan: plan.case.sample is not None}
    validation.validate([file], tmp_path / "out", publish=True)
    assert {name: sum(map(kind, shown)) for name, kind in kinds.items()} == {"wrong": 3, "finer": 1, "sample": 0}, "samples of flat models are run"
    shown.clear()
    validation.validate([file], tmp_path / "out", publish=True, ablation=True, finer=True)
    assert not shown
    validation.validate([file], tmp_path / "out")
    assert not shown, "who does not publish shows results of their own"
    with pytest.raises(BadInput, match="there is no finer mesh"):
        validation.validate([file], tmp_path / "out", resolution="fine", finer=True)
    refused = CliRunner().invoke(cli.app, ["validate", "--publish", "--samples", "3"])
    assert refused.exit_code != 0 and "neither --resolution nor --samples" in str(refused.exception)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_can_be_drawn(outcome):
    assert unit(outcome) in validation_figures.LABELS


def test_captions_name_what_a_figure_does_not_show():
    means = [comparing.Point("s", "validation", "cadaveric", "arm", f"{k}: peak_force_N", "N", 100.0 + k, predicted=90.0 + k).row() for k in range(9)]
    ranks = [{"study": study, "pairs": 3, "untold": untold} for study, untold in (("s", 0), ("ratios", 1), ("not run", 3))]
    assert "judged below: 1." in validation_report.captions({"points": means, "ranking": ranks})["ranking"]
    assert "Not drawn" not in validation_report.captions({"points": means, "ranking": ranks[:1]})["ranking"]


def test_no_two_arms_have_one_line(tmp_path, monkeypatch):
    points = [comparing.Point("s", "validation", "cadaveric", "arm", f"{k}: peak_force_N", "N", 100.0 + k, predicted=90.0 + k).row() for k in range(11)]
    drawn = []
    monkeypatch.setattr(validation_figures, "_save", lambda fig, stem: drawn.append(fig))
    validation_figures.ranking(validation_figures.ranked({"points": points}), tmp_path / "ranking")
    lines = {(line.get_color(), str(line.get_linestyle()), str(line._unscaled_dash_pattern)) for line in drawn[0].axes[0].get_lines()}
    assert len(lines) == 11


def test_page_says_on_which_mesh_samples_are():
    made = content(1.5)
    assert validation_report.interval(made["points"][0]) == "1 – 2 (4 samples)"
    assert validation_report.interval(made["points"][0] | {"samples_on": "coarse"}) == "1 – 2 (4 samples, coarse mesh)"


def test_page_says_what_was_not_run():
    made = content(None)
    made["points"][0]["why"] = "a: not run"
    assert "a: not run" in validation_report.markdown(made) and "0 of 1 points predicted" in validation_report.markdown(made)


def test_shipped_pages_say_what_the_published_results_say(tmp_path):
    def rows(text):
        return [line for line in text.splitlines() if line.startswith("|")]

    made = validation.validate(out=tmp_path / "out", run=False)
    page = (publication.CADAVERIC / "README.md").read_text()
    frozen, _, shown = page.partition("## Comparison with measured data")
    assert re.search(r"Made by `./halofix validate` on \d{4}-\d\d-\d\d, halofix [\d.]+ \([0-9a-f]{10}", shown)
    assert [row for row in rows(validation_report.markdown(made)) if row not in rows(shown)] == []
    front = (publication.ROOT / "README.md").read_text().partition(publication.SUMMARY[0])[2].partition(publication.SUMMARY[1])[0]
    assert rows(validation_report.summary(made)) == rows(front)
    assert all((publication.CADAVERIC / link).exists() for link in re.findall(r"\]\(((?:runs|frozen)/[^)]+)\)", page))
