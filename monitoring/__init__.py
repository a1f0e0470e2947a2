"""Grafana's dashboards and Prometheus' rules, made from the registry of metrics: `python -m monitoring`.

promql.py      expressions that can name only what the registry has
limits.py      from when on something is wrong
alert.py recordings.py alerts/   who is told when, and what to do then
rules.py       alerts and recorded values in Prometheus' YAML, and as the page docs/alerts.md
grafana.py     panels and dashboards, laid out, in Grafana's JSON
dashboards/    what each dashboard shows
written.py     which files all this makes
"""
