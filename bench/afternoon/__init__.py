"""What a team writes in an afternoon, to measure ours against: FastAPI, one worker, Redis. It promises nothing.

No event is checked beyond its form, a crash loses or doubles what was under way, nothing is corrected, kept or proved.
What it does is what costs: it takes events, remembers ids, counts per user, scores with the same model and decides.
"""
