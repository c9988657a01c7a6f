"""The model of accounts, with addresses that change and return, and backups."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import delete, select

from pycoder.extensions import db
from pycoder.keys.store import KeyRingCache
from pycoder.models.session import Session
from tests.support import snapshots
from tests.support.account_model import AccountMachine
from tests.support.callers import outcome
from tests.support.session_model import DAY, Device, Person, pick
from tests.support.tokens import claims_of

BETWEEN = [
    "nothing",
    "nothing",
    "nothing",
    "a logout",
    "a deactivation",
    "a new password",
    "a day",
    "a restoration",
]


@dataclass
class Link:
    """A mailed link: of a change, with the device that asked, or of an undo."""

    person: Person
    token: str
    expires: int
    email: str
    device: Device | None = None
    dead: bool = False
    keeps_factors: bool = False  # of a change: whether its undo keeps the factors


class OwnershipMachine(AccountMachine):
    """Users who also change their addresses, and an operator who restores backups."""

    def __init__(self, app, mails):
        super().__init__(app)
        self.mails = mails
        self.changes, self.undos = [], []
        self.owners, self.places = {}, set()
        self.addresses = 0
        self.backup = None

    def add_device(self, person, tokens):
        """No id and no place in the status lists is given to two."""
        claims = claims_of(tokens["access"])
        assert self.owners.setdefault(claims["user_id"], person) is person
        place = tuple(claims["status"]["status_list"].values())
        assert place not in self.places
        self.places.add(place)
        super().add_device(person, tokens)

    def forget_secrets(self, person):
        for secret in self.proofs_of(person) + [c for c in self.changes if c.person is person]:
            secret.dead = True

    # --- addresses

    @rule(which=pick, by=st.sampled_from(["password", "proof", "nothing"]), other=pick)
    def ask_for_another_address(self, which, by, other):
        self.ask(self.device(which), by, other)

    def ask(self, device, by, other):
        fields, good = self.evidence(device, by, other)
        self.addresses += 1
        email = f"address-{self.addresses}@example.com"
        answer = self.send(device, "email/change", email=email, **fields)
        expected = self.access_is(device, device.access[-1])
        if expected == 200:
            expected = 202 if good else "insufficient_user_authentication"
        assert outcome(answer) == expected
        if expected == 202:
            for earlier in self.changes:
                earlier.dead |= earlier.person is device.person
            [token] = [mail.token for mail in self.mails() if mail.to == email]
            self.changes.append(Link(device.person, token, self.at + DAY, email, device))

    @rule(who=pick, between=st.sampled_from(BETWEEN), undo=st.sampled_from([True, False]))
    def move_to_another_address(self, who, between, undo):
        """Ask for a change, go through with it unless something happens, and perhaps undo it."""
        person = self.person(who)
        if not person.active:
            self.close_or_open_the_account(who)
        self.login(who, 1)
        device = person.devices[-1]
        if self.password_is_enough(person):
            self.ask(device, "password", 0)
        else:
            self.try_to_prove(device)
            self.ask(device, "proof", -1)
        if between == "a logout":
            assert outcome(person.caller.logout(access=device.access[-1].token)) == 204
            device.revoked = True
        elif between == "a deactivation":
            self.close_or_open_the_account(who)
            self.close_or_open_the_account(who)
        elif between == "a new password":
            self.set_password(who)
        elif between == "a day":
            self.tick(DAY)
        elif between == "a restoration" and self.backup:
            self.restore()
        self.confirm_an_address(0)
        if undo and self.undos:
            self.undo_a_change(who)

    @precondition(lambda self: self.changes)
    @rule(number=pick)
    def confirm_an_address(self, number):
        """The link is good while the session that asked for it is."""
        change = self.changes[-1 - number % len(self.changes)]
        person, in_time = change.person, self.at < change.expires
        good = in_time and not change.dead and change.device.is_live(self.at)
        answer = self.post(person, "email/verify", token=change.token)
        assert outcome(answer) == (204 if good else "link_invalid")
        if good:
            keeps_factors = self.has_lasting_factor(person)
            before, person.caller.email = person.caller.email, change.email
            self.forget_secrets(person)
            [token] = [mail.token for mail in self.mails() if mail.to == before]
            undo = Link(person, token, self.at + 7 * DAY, before, keeps_factors=keeps_factors)
            self.undos.append(undo)

    @precondition(lambda self: self.undos)
    @rule(number=pick)
    def undo_a_change(self, number):
        """The former address is back, and nothing else of the account is good."""
        undo = self.undos[number % len(self.undos)]
        person = undo.person
        good = not undo.dead and self.at < undo.expires and person.active
        answer = self.post(person, "email/undo", token=undo.token)
        assert outcome(answer) == (204 if good else "link_invalid")
        if good:
            person.caller.email = undo.email
            self.forget_secrets(person)
            theirs = [other for other in self.undos if other.person is person]
            for later in theirs[theirs.index(undo) :]:  # those of earlier addresses stay good
                later.dead = True
            for device in person.devices:
                device.revoked = True
                self.check_all_tokens_of(device, newest=1)
            assert outcome(person.caller.try_login(password=person.password)) != 200
            self.change_was_undone(person, undo)
            self.reset_the_password(person)

    def has_lasting_factor(self, person):
        """Return whether the user has a factor that no undo removes."""
        return False

    def change_was_undone(self, person, undo):
        pass

    def reset_the_password(self, person):
        [token] = [mail.token for mail in self.mails() if "/reset-password" in mail.text]
        person.password = f"pass phrase of {self.at}, after the undo"
        answer = self.post(
            person, "password/reset/confirm", token=token, new_password=person.password
        )
        assert outcome(answer) == 204

    def post(self, person, path, **fields):
        return person.caller.client.post(f"/api/{path}/", json=fields)

    # --- backups

    @rule()
    def back_up(self):
        people = [(p, p.caller.email, p.password, p.active) for p in self.people]
        alive = [undo for undo in self.undos if not undo.dead]
        self.backup = snapshots.take(self.app), people, alive

    @precondition(lambda self: self.backup)
    @rule()
    def restore(self):
        """No token from before is good. Accounts and undo links are those of the backup."""
        snapshot, people, alive = self.backup
        self.backup = None
        snapshots.put_back(self.app, snapshot)
        self.app.extensions["pycoder.keys"] = KeyRingCache()
        self.flask("restored", "--yes")
        for device in self.devices:
            for text in [one.token for one in device.access] + device.refresh[-1].tokens:
                assert outcome(device.person.caller.verify(text)) == "token_invalid"
        for person in self.people:
            self.forget_secrets(person)
            person.devices = []
        self.people = [person for person, *_ in people]
        for person, email, password, active in people:
            person.caller.email, person.password, person.active = email, password, active
        for undo in self.undos:
            undo.dead = undo not in alive
        self.empty_sessions()
        self.sign_somebody_in()

    def empty_sessions(self):
        """Delete the ended sessions, so that the store is that of the model again."""
        with self.app.app_context():
            assert None not in db.session.scalars(select(Session.revoked_at)).all()
            db.session.execute(delete(Session))
            db.session.commit()

    def sign_somebody_in(self):
        if not any(person.active for person in self.people):
            self.close_or_open_the_account(0)
        self.login(next(n for n, person in enumerate(self.people) if person.active), 1)
