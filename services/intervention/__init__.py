"""The intervention service.

Decides whether to help a user, how and when, from the assessment of every event; most decisions are not to help.
Owns the policies that were in force, the state of users with waiting help and outcomes, the outbox, the lift, and the
ledger of all decisions, including those not to help.
The dispatcher calls it with every batch, after scoring; the gateway reads and watches; the archiver reads the ledger;
analytics reads what language models cost; ingest erases and exports people.
To decide, it calls only its store. In the background it has copy generated and sends messages: by Bedrock, SES, SNS and
webhooks, as far as they are set up. To analyze a user it calls scoring, video and customers. Where models or policies
are compared, experiments says who gets which, and is told what came of it; a canary of scoring that it judges is ended,
or made live, with it.
Without the store it answers `UNAVAILABLE`; the dispatcher repeats the batch, and the repeat is answered as the first.
Where a model fails the template's words stay; where a channel fails its messages wait until they expire, and decisions
go on. Without customers an analysis says that purchases could not be looked up. An invalid policy document changes
nothing.
Past the ledger's lifetime a decision is `NOT_FOUND`; what waits and what was learned stand apart and live on.
"""
