"""Grafana's dashboards and Prometheus' rules, made from the registry of metrics: `python -m monitoring`.

promql.py      expressions that can name only what the registry has
limits.py      from when on something is wrong
alert.py recordings.py alerts/   who is alerted when, and what to do then
rules.py       alerts and recorded values in Prometheus' YAML, and as the page docs/alerts.md
grafana.py     dashboards in Grafana's JSON, from functions that make panels
dashboards/    what each dashboard shows
written.py     which files all this makes
"""
