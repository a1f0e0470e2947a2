"""What the features service decides, as pure functions over small values: no I/O, no clock, no wire messages.

Rooms: `event` what happened · `state` what is kept of a user · `window` counting over time · `journey` one event
applied · `engagement` how much a user takes part · `struggle`, `clicks` and `signal` signs of trouble · `vector` the
13 features.
"""
