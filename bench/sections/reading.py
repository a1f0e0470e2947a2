from bench.report import Found
from bench.sections import Scale
def reading(scale: Scale) -> Found:
    return Found("s","",skipped="todo")
