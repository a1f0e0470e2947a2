"""What a team writes in an afternoon, as a baseline: FastAPI, one worker, Redis. It guarantees nothing.

Events are checked for their form only, a crash loses or doubles work in progress, and nothing is corrected or archived.
It does the expensive part: it takes events, remembers ids, counts per user, scores with the same model, decides.
"""
