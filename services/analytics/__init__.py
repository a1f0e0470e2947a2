"""The analytics service: answers questions about many users from what is archived, and watches key figures.

Decides: which hours of key figures were unusual; all else it counts.
Owns: saved segments; incidents, and what people did about them; which release of the mesh runs; copies of the archive,
ordered by tenant, day and user, and a manifest of them, which can be made again.
Calls: ingest, to which jobs send segment changes; intervention, for what language models cost; a webhook that is
told when incidents open and close, if one is set. It reads the archive's files.
If the files cannot be read, questions fail with UNAVAILABLE and everything else goes on: it is off the path of events.
A question that takes too much is refused, interrupted or killed, and no other question fails with it.
"""
