"""Bringing help to channels: outbox, delivery workers, providers."""
