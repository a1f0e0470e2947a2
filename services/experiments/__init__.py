"""The experiments service.

Decides which arm of an experiment a unit gets, and concludes from exposures and outcomes which arm is better. Owns the
definitions, their history, the sums of each arm and, for a while, what is known of each unit. Calls its store, and
scoring where an experiment judges a canary: that ends with the experiment, and a second after scoring is back if it was
away. The gateway asks it for operators, pages and services, intervention for models and policies to compare, ingest for
people to erase and export. Without the store it assigns by the allocation it has, for a day at most, and says so; all
else is refused with `UNAVAILABLE`.
"""
