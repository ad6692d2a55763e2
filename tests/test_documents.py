"""The files that describe the project agree with it and with each other."""

import re
from typing import Any

import pytest
import yaml
from conftest import ROOT

import deblur

PATHS = re.compile(r"`((?:deblur|conf|tests|docs|scripts|examples)/[\w./-]*)`")
"""Files and folders that a page names."""
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def load(name: str) -> Any:
    return yaml.safe_load(read(name))


def test_readme_stays_short() -> None:
    assert len(read("README.md").splitlines()) <= 130


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/protocols.md"])
def test_named_files_exist(name: str) -> None:
    named = [path for path in PATHS.findall(read(name)) if "NAME" not in path]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_each_package_has_a_row_for_newcomers() -> None:
    rows = read("CONTRIBUTING.md").partition("## House rules")[0]
    packages = {path.parent.name for path in (ROOT / "deblur").glob("*/__init__.py")}
    assert {name for name in packages if f"`deblur/{name}/`" not in rows} == set()


def test_each_experiment_has_a_row() -> None:
    rows = re.findall(r"^\| (`.*?) \|", read("docs/training.md"), re.MULTILINE)
    names = {path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")}
    assert names <= {*re.findall(r"`(\w+)`", " ".join(rows))}


def test_each_entry_of_the_log_has_a_row_in_its_index() -> None:
    log = read("EXPERIMENTS.md")
    index = log.partition("\n## ")[0]
    entries = re.findall(r"^## (\d{4}-\d\d-\d\d):", log, re.MULTILINE)
    rows = re.findall(r"^\| (\d{4}-\d\d-\d\d) \| \[.+\]\(#.+\) \| .+ \|$", index, re.MULTILINE)
    assert rows == entries == sorted(entries, reverse=True)


def test_the_version_is_the_same_everywhere() -> None:
    newest, *_ = re.findall(r"^## (\d[\d.]*)", read("CHANGELOG.md"), re.MULTILINE)
    assert newest == load("CITATION.cff")["version"] == deblur.__version__


def test_the_citation_names_this_project_and_the_paper() -> None:
    citation = load("CITATION.cff")
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert all(citation[key] for key in ("message", "title", "authors", "license"))
    (paper,) = citation["references"]
    assert paper["authors"][0]["family-names"] == "Li" and "2412.19479" in paper["url"]


def test_the_workflow_runs_the_tests_on_three_systems() -> None:
    workflow = load(".github/workflows/test.yml")
    assert {*workflow} == {"name", True, "permissions", "concurrency", "jobs"}  # `on` reads as true
    (job,) = workflow["jobs"].values()
    systems = [name.partition("-")[0] for name in job["strategy"]["matrix"]["os"]]
    assert systems == ["ubuntu", "macos", "windows"] and job["runs-on"] == "${{ matrix.os }}"
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    assert any(step.get("run", "").startswith("make test ") for step in job["steps"])


def test_lint_runs_before_commits() -> None:
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    (hook,) = repository["hooks"]
    assert (repository["repo"], hook["entry"], hook["language"]) == ("local", "make lint", "system")
    assert hook["pass_filenames"] is False


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_issue_templates_are_forms(path: Any) -> None:
    form = yaml.safe_load(path.read_text("utf-8"))
    if path.stem == "config":
        assert form == {"blank_issues_enabled": False}
        return
    assert {"name", "description", "body"} <= {*form}
    assert all(field["attributes"]["label"] for field in form["body"])
