"""The features service: turns events into features of each user and finds signals of struggle.

Decides what a user's behaviour means: in numbers (`domain.vector`, `domain.history`, `domain.own`) and as signals of
struggle (`domain.struggle`). Owns one state per user and the user's last 20 events, in Redis. Calls nobody; the
dispatcher calls it with each batch. If its store fails it answers UNAVAILABLE; the dispatcher retries the batch, and
nothing is counted twice.
"""
