"""Sequence numbers as members of sorted sets in Redis."""


def sortable(sequence: int) -> bytes:
    """A sequence number as bytes that sort by it: its length, then its bytes."""
    length = (max(sequence, 0).bit_length() + 7) // 8
    return bytes((length,)) + max(sequence, 0).to_bytes(length, "big")
