"""Groups of units compared: who is in which, what is added up of them, and what may be concluded, whenever one looks.

Pure, and in need of the standard library alone. Experiments, policies that are compared, the lift of help and its
effect share the hash that assigns arms and these formulas.
"""
