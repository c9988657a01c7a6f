"""Mails: queued with their cause, rendered, and sent by a worker."""
