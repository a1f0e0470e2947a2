from bench.report import Found
from bench.sections import Scale
def scoring(scale: Scale) -> Found:
    return Found("s","",skipped="todo")
