"""The report in a browser: its numbers are the table's, and nothing in a table can do anything."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from emotion2vec_archive.report.report import ReportError, make_report
from playwright.sync_api import Browser, Page, Request, sync_playwright
from pyarrow import compute, parquet

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
TODAY = date(2026, 11, 27)


# Not for the session: as long as it runs, tests with an event loop of their own can't.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A page that nothing may go wrong on, and that may ask for nothing but the report."""
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.on("request", lambda request: faults.extend(_asked(request)))
    yield page
    page.close()
    assert faults == []


def _asked(request: Request) -> list[str]:
    return [] if request.url.endswith("/report.html") else [request.url]


def open_report(page: Page, table: Path, tmp_path: Path, **options: object) -> None:
    report = tmp_path / "report.html"
    make_report(table, report, **{"by": None, "count": 5, "today": TODAY, **options})
    page.goto(report.as_uri())


def column(page: Page, section: str, number: int) -> list[str]:
    """The texts of a table's column."""
    return page.locator(f"#{section} tbody td:nth-child({number})").all_inner_texts()


def first_by(table: pa.Table, name: str) -> list[str]:
    """Names of the recordings in the order of a column, those without any of it left out."""
    some = table.filter(compute.greater(table[name], 0)).sort_by([(name, "descending")])
    return [path.rpartition("/")[2] for path in some["path"].to_pylist()]


def shown_names(page: Page) -> list[str]:
    texts = page.locator(".recording:visible .name").all_inner_texts()
    return [text.rpartition("/")[2] for text in texts]


def test_its_numbers_are_those_of_the_table(
    visit: Page, scores: Path, table: pa.Table, tmp_path: Path
) -> None:
    open_report(visit, scores, tmp_path)
    scored = table.filter(table["error_code"].is_null())
    facts = visit.locator(".facts strong").all_inner_texts()
    alerted = [
        path for path, alerts in zip(table["path"], table["alerts"], strict=True) if alerts.as_py()
    ]
    doubtful = [one for one in table["warnings"].to_pylist() if one]
    assert [facts[0], *facts[2:]] == [str(len(scored)), str(len(alerted)), str(len(doubtful)), "2"]

    labels = column(visit, "emotions", 1)
    leads = dict(zip(labels, column(visit, "emotions", 4), strict=True))
    counted = {one["values"]: one["counts"] for one in scored["label"].value_counts().to_pylist()}
    assert leads == {label: str(counted.get(label, 0)) for label in labels}

    shares = dict(zip(labels, column(visit, "emotions", 2), strict=True))
    weighted = compute.sum(compute.multiply(scored["share_angry"], scored["duration"])).as_py()
    assert shares["angry"] == f"{weighted / compute.sum(scored['duration']).as_py():.1%}"

    assert dict(zip(column(visit, "groups", 1), column(visit, "groups", 2), strict=True)) == {
        "berlin": "6",
        "madrid/night shift": "3",
        "madrid/<": "2",
    }
    assert visit.locator("#failures summary code").all_inner_texts() == ["INVALID_ARGUMENT"]
    longest = max(one["end"] - one["start"] for row in scored["alerts"].to_pylist() for one in row)
    assert column(visit, "alerts", 4)[0] == f"{longest:.1f} s"


def test_recordings_are_ranked_by_what_is_chosen(
    visit: Page, scores: Path, table: pa.Table, tmp_path: Path
) -> None:
    open_report(visit, scores, tmp_path, count=3)
    assert shown_names(visit) == first_by(table, "longest_angry")[:3]
    visit.get_by_role("radio", name="happy").check()
    visit.get_by_role("radio", name="peak").check()
    assert shown_names(visit) == first_by(table, "peak_happy")[:3]
    assert "by peak of happy" in visit.locator("#top header").inner_text()
    highest = max(table["peak_happy"].drop_null().to_pylist())
    assert visit.locator(".recording:visible .value").first.inner_text() == f"{highest:.1%}"


def test_a_time_line_says_what_lies_under_the_pointer(
    visit: Page, scores: Path, tmp_path: Path
) -> None:
    open_report(visit, scores, tmp_path)
    row = visit.locator(".recording:visible").first
    row.locator(".stretch.l0").first.hover()
    assert "angry" in row.locator(".pointed").inner_text()


def test_names_from_the_table_are_text(visit: Page, scores: Path, tmp_path: Path) -> None:
    open_report(visit, scores, tmp_path)
    assert visit.title() == "calls.parquet · emotion2vec report"
    assert visit.locator("img").count() == 0
    assert visit.locator("script").count() == 1
    text = visit.locator("#failures").inner_text() + visit.locator("#top").inner_text()
    assert "<img src=x onerror=document.title='taken'>\"'.flac" in text
    visit.locator("#failures summary").click()
    assert "</script><script>taken()<b>.flac" in visit.locator("#failures").inner_text()


def test_scripts_that_are_not_its_own_do_not_run(
    browser: Browser, scores: Path, tmp_path: Path
) -> None:
    """Should ever something slip through, the page's policy holds."""
    report = tmp_path / "report.html"
    make_report(scores, report, by=None, count=5, today=TODAY)
    spoiled = report.read_text().replace(
        "</main>", "<script>document.title='taken'</script></main>"
    )
    report.write_text(spoiled)
    page = browser.new_page()
    page.goto(report.as_uri())
    assert page.title() != "taken"
    page.close()


def as_csv(table: pa.Table, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, table.column_names)
        writer.writeheader()
        for row in table.drop_columns("path_bytes").to_pylist():
            lists = {
                name: json.dumps(value) for name, value in row.items() if isinstance(value, list)
            }
            writer.writerow(row | lists)


def as_lines(table: pa.Table, path: Path) -> None:
    rows = table.drop_columns("path_bytes").to_pylist()
    path.write_text("".join(json.dumps({**row, "path_bytes": None}) + "\n" for row in rows))


@pytest.mark.parametrize(("ending", "write"), [("csv", as_csv), ("jsonl", as_lines)])
def test_csv_and_json_lines_give_the_same_report(
    table: pa.Table, tmp_path: Path, ending: str, write: object
) -> None:
    assert callable(write)
    parquet.write_table(table, tmp_path / "table.parquet")
    write(table, tmp_path / f"table.{ending}")
    pages = []
    for kind in ("parquet", ending):
        page = tmp_path / f"{kind}.html"
        make_report(tmp_path / f"table.{kind}", page, by=None, count=5, today=TODAY)
        pages.append(page.read_text().replace(f"table.{kind}", "table"))
    assert pages[0] == pages[1]


def test_groups_are_by_any_column(table: pa.Table, tmp_path: Path) -> None:
    speakers = ["Ann", "Bo"] * (len(table) // 2) + ["Ann"] * (len(table) % 2)
    path = tmp_path / "table.parquet"
    # As pandas writes it: without what we noted of the schema.
    parquet.write_table(
        table.append_column("speaker", pa.array(speakers)).replace_schema_metadata(None), path
    )
    content = make_report(path, tmp_path / "page.html", by="speaker", count=5, today=TODAY)
    assert {group.name: group.rows for group in content.groups.shown} == {
        "Ann": speakers.count("Ann"),
        "Bo": speakers.count("Bo"),
    }


def test_what_is_no_table_is_said(table: pa.Table, tmp_path: Path) -> None:
    strange = tmp_path / "strange.parquet"
    parquet.write_table(pa.table({"path": ["a"]}), strange)
    with pytest.raises(ReportError, match="no column path_bytes"):
        make_report(strange, tmp_path / "page.html", by=None, count=5, today=TODAY)
    with pytest.raises(ReportError, match="no such table"):
        make_report(tmp_path / "none.csv", tmp_path / "page.html", by=None, count=5, today=TODAY)
    path = tmp_path / "table.parquet"
    parquet.write_table(table, path)
    with pytest.raises(ReportError, match="no column 'speaker'; it has path"):
        make_report(path, tmp_path / "page.html", by="speaker", count=5, today=TODAY)
    assert not (tmp_path / "page.html").exists()


def test_only_an_older_report_gives_way(scores: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    make_report(scores, page, by=None, count=5, today=TODAY)
    make_report(scores, page, by=None, count=5, today=TODAY)
    page.write_text("my own page")
    with pytest.raises(ReportError, match="no report"):
        make_report(scores, page, by=None, count=5, today=TODAY)
    assert page.read_text() == "my own page"
