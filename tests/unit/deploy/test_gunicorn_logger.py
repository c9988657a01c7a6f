"""The logger of gunicorn."""

import io
import logging
import os

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidHeader

from deploy.gunicorn_logger import Logger


@pytest.fixture
def logger():
    """A logger as gunicorn makes it, and a function that returns what it wrote."""
    config, stream = Config(), io.StringIO()
    config.set("errorlog", None)
    made, handler = Logger(config), logging.StreamHandler(stream)
    made.setup(config)  # a reload of the settings
    made.error_log.addHandler(handler)
    yield made, stream.getvalue
    made.error_log.removeHandler(handler)
    made.error_log.removeFilter(made.hide_request)


@pytest.fixture
def worker(logger, monkeypatch):
    """The same in a worker, which is another process than the one that made the logger."""
    pid = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: pid)
    return logger


def test_a_fault_names_its_class_and_the_places_in_the_code(worker):
    log, written = worker
    secret = "-".join(["the", "password"])  # in no line of the code
    try:
        raise InvalidHeader(secret)
    except InvalidHeader as error:
        log.warning(f"Invalid request from ip=::1: {error}")
        log.exception("Error handling request %s %s", "GET", f"/?{secret}")
        log.debug("Ignored premature client disconnection. %s", error)
    first, second, *places = written().splitlines()
    assert first == "Invalid request from ip=::1: InvalidHeader"
    assert second == "Error handling request: InvalidHeader"
    assert "test_gunicorn_logger.py" in places[0]
    assert secret not in written()


def test_what_no_request_caused_is_logged_in_full(worker):
    log, written = worker
    log.info("Listening at: %s", "http://127.0.0.1:8000")
    try:
        raise OSError("the disk is full")
    except OSError:
        log.exception("Exception in worker process")
    assert "Listening at: http://127.0.0.1:8000" in written()
    assert "the disk is full" in written()


def test_the_master_which_reads_no_request_logs_everything_in_full(logger):
    log, written = logger
    try:
        raise OSError("address already in use")
    except OSError as error:
        log.error("Connection in use: %s", "127.0.0.1:8000")
        log.error(f"connection to 127.0.0.1:8000 failed: {error}")
    assert "Connection in use: 127.0.0.1:8000" in written()
    assert "failed: address already in use" in written()
