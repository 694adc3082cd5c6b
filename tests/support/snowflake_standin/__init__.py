"""A stand-in for Snowflake: see README.md."""

from .standin import Standin

__all__ = ["Standin"]
