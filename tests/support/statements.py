"""The statements that an application executes."""

import contextlib

from sqlalchemy import event

from pycoder.extensions import db


@contextlib.contextmanager
def before_statements(app, call):
    """Call a function with each statement that is executed in a ``with`` block, before it is."""

    def listener(connection, cursor, statement, *_):
        call(statement)

    with app.app_context():
        engines = list(db.engines.values())
    for engine in engines:
        event.listen(engine, "before_cursor_execute", listener)
    try:
        yield
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", listener)


@contextlib.contextmanager
def executed(app):
    """Yield the list of the statements that are executed in a ``with`` block.

    The look for new signing keys is left out: it is due by the clock.
    """
    statements = []

    def note(statement):
        if "signing_keys" not in statement:
            statements.append(statement)

    with before_statements(app, note):
        yield statements
