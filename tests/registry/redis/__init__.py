"""The registry in Redis, with real Redis servers."""
