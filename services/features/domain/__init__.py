"""What the features service decides, as pure functions over small values: no I/O, no clock, no wire messages.

Modules: `event` what happened · `state` what is kept of a user · `window` counting over time · `journey` one event
applied · `sessions` the user's own time · `pages` which page a view is of · `engagement` how much a user takes part ·
`money` what was spent · `struggle`, `clicks` and `signal` signs of trouble · `settlement` what a success ends ·
`recents` the last events · `naming` what names mean · `vector` the 13 features.
"""
