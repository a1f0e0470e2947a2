"""The scoring service: how likely each user is to leave now, why, and with which confidence.

Decides: the exit risk (0 to 100) after every event, from the ONNX model and the transparent rules, with level,
confidence and the contribution of every feature and rule.
Owns: the models and which of them is live (a directory); each user's signals, risk history and last assessment (Redis).
Calls: nobody.
If the store cannot be reached or no model can be loaded, a batch fails with UNAVAILABLE and is delivered again. If a
newly promoted model cannot be loaded, the previous one stays in service. Features of another schema are refused.
"""
