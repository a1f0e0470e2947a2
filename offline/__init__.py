"""The same domain code as the services', run over recorded behaviour: data sets, training, evaluation.

The only place that may import the domains of several services.
"""
