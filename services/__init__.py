"""The five services; each the same shape, none imports another."""
