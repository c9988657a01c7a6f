"""The mail queue: filled and sent."""

from pycoder.extensions import db
from pycoder.mail import queue as mail_queue
from pycoder.mail import worker
from pycoder.mail.queue import Template


def send(app):
    """Send the mails that are due, as the mail worker does."""
    with app.app_context():
        return worker.send_due()


def queue(app, count):
    """Queue so many mails in one transaction."""
    with app.app_context():
        for n in range(count):
            mail_queue.enqueue(Template.PASSWORD_CHANGED, f"user{n}@example.com")
        db.session.commit()
