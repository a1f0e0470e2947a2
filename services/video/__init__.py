"""The video service.

Decides nothing; turns playback events into what each viewer has seen, how engaged they are, and how each video is
watched. Owns the coverage of each user and video, and the counts per second of each video. Calls nobody but its store.
The dispatcher calls it before features, with each batch; the gateway reads. Without the store it answers `UNAVAILABLE`;
the dispatcher retries the batch and gets the same answer.
"""
