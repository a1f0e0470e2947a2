"""Tests of the bench itself, and the guard of the mesh's CPU per event."""
