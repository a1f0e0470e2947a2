"""Scoring says how likely each user is to leave now, why, and how sure that is.

Decides: the exit risk (0 to 100) after every event, from the ONNX model and the transparent rules, with level,
confidence and the contribution of every feature and rule.
Owns: the models and which of them is live (a directory); each user's signals, the course of the risk and the last
assessment (Redis).
Calls: nobody.
When the store cannot be reached, or no model can be loaded, a batch fails with UNAVAILABLE and is delivered again. When
a newly promoted model cannot be loaded, the one before stays in service. Features of another schema are refused.
"""
