"""The Moodle log of a college (eDify), mapped to the events of the REST contract.

Hasan et al., "Dataset of Students' Performance Using Student Information System, Moodle and the Mobile Application
eDify", Data 6(11), 2021, CC BY 4.0.

`_KINDS` maps what students can do; what only teachers, administrators and the system do (grading, enrolling, backups,
course changes) is left out, and so are rows without a time or a user. Times have no seconds and no zone: they are taken
as UTC, and events of one minute keep the order of the log, which is newest first.
"""

import csv
import gzip
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

NAME: Final = "edify_video_moodle"

_KINDS: Final[dict[str, str]] = {
    "Course viewed": "page_view",
    "Course module viewed": "page_view",
    "Activity viewed": "page_view",
    "The status of the submission has been viewed.": "page_view",
    "List Submissions": "page_view",
    "Submission confirmation form viewed.": "page_view",
    "User list viewed": "page_view",
    "User profile viewed": "page_view",
    "User report viewed": "page_view",
    "Badge listing viewed": "page_view",
    "Comments viewed": "page_view",
    "Wiki page viewed": "page_view",
    "Wiki history viewed": "page_view",
    "Wiki page map viewed": "page_view",
    "Submission form viewed.": "form_start",
    "A file has been uploaded.": "feature_interaction",
    "The user has accepted the statement of the submission.": "feature_interaction",
    "Delete Submission": "feature_interaction",
    "Meeting joined": "feature_interaction",
    "Comment created": "feature_interaction",
    "Wiki page created": "feature_interaction",
    "Zip archive of folder downloaded": "feature_interaction",
    "Submission created.": "form_submit",
    "Submission updated.": "form_submit",
    "Add Submission": "task_success",
    "A submission has been submitted.": "task_success",
    "Course activity completion updated": "task_success",
}
_FORMS: Final = frozenset({"form_start", "form_submit"})
_PLATFORMS: Final = {"web": "web", "ws": "mobile"}
_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]+")


def events(folder: Path) -> Iterator[dict[str, object]]:
    """The events in time order, as a client would send them; ids are the same in every run.

    Args:
        folder: the folder of `moodle_events.csv.gz`.
    """
    with gzip.open(folder / "moodle_events.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = [(row["Time"], number, row) for number, row in enumerate(csv.DictReader(file)) if _is_mapped(row)]
    rows.sort(key=lambda entry: (entry[0], -entry[1]))
    for time, number, row in rows:
        yield _event(time, number, row)


def _is_mapped(row: dict[str, str]) -> bool:
    is_of_a_user = bool(row["Time"] and row["moodle_user"])
    return is_of_a_user and row["Origin"] in _PLATFORMS and row["Event name"] in _KINDS


def _event(time: str, number: int, row: dict[str, str]) -> dict[str, object]:
    kind = _KINDS[row["Event name"]]
    page = _page(row["offering"], row["Event context"])
    properties: dict[str, object] = {"page": page, "offering": row["offering"], "component": row["Component"]}
    if kind in _FORMS:
        properties["form"] = page
    elif kind != "page_view":
        properties["feature"] = _slug(row["Event name"])
    at = datetime.fromisoformat(time).replace(tzinfo=UTC)
    return {
        "eventId": f"edify-{number:06d}",
        "userId": f"edify-{row['moodle_user']}",
        "eventType": kind,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "properties": properties,
        "context": {"platform": _PLATFORMS[row["Origin"]]},
    }


def _page(offering: str, context: str) -> str:
    """`/m1-f19` for the course itself, `/m1-f19/file/week-4-arrays` for what is in it."""
    kind, _, name = context.partition(":")
    if kind == "Course":
        return f"/{_slug(offering)}"
    return f"/{_slug(offering)}/{_slug(kind)}/{_slug(name)[:60]}"


def _slug(text: str) -> str:
    return _NOT_A_WORD.sub("-", text.lower()).strip("-")
