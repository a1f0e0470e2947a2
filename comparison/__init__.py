"""Two groups of units compared: what is added up of them, and what may be concluded from it, whenever one looks.

Pure, and in need of the standard library alone. Experiments, the lift of help and its effect share these formulas.
"""
