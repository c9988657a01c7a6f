"""E-mail: a queue in the database, templates, and a worker that sends."""
