"""Playback as pure values: what was covered, how engaged a viewer is, and how a video is watched."""
