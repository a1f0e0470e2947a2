"""The runtime every process shares: serving, dialling, errors, settings, telemetry, the stream and state ports.

It knows no service and no message of the contracts.
"""
