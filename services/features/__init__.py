"""The features service: turns events into the 13 behavioural features of each user and finds signals of struggle.

Decides what a user's behaviour amounts to, in numbers (`domain.vector`) and in signs of trouble (`domain.struggle`).
Owns one state a user and the user's last 20 events, in Redis. Calls nobody; the dispatcher calls it with each batch.
If its store fails it answers UNAVAILABLE; the dispatcher holds the shard and tries again; nothing is counted twice.
"""
