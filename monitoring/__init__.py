"""Grafana's dashboards and Prometheus' rules, made from the registry of metrics: `python -m monitoring`.

promql.py      expressions that can name only what the registry has
limits.py      thresholds of alerts and dashboards
alert.py recordings.py alerts/   when alerts fire, and what to do then
rules.py       alerts and recording rules in Prometheus' YAML, and as the page docs/alerts.md
grafana.py     dashboards in Grafana's JSON, from functions that make panels
dashboards/    what each dashboard shows
written.py     the generated files
"""
