"""Imports, sizes, locks and generated pages agree with what is said of them."""
