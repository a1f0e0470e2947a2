"""Writes the generated dashboards and rules of the chart and docs/alerts.md: `python -m monitoring`, in `make docs`."""

from monitoring.written import files

for path, text in files().items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
