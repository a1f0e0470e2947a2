"""Runs the services' domain code over recorded behaviour: training, evaluation, replays.

The only place that may import the domains of several services.
"""
