"""A model of sessions: a state machine that compares the API with what it promises."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import time_machine
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from pycoder.clock import now
from pycoder.extensions import db
from pycoder.models.session import Session
from tests.support.application import empty_tables
from tests.support.callers import Caller, outcome
from tests.support.tokens import claims_of

START = datetime(2030, 1, 1, tzinfo=UTC)
HOUR, DAY = 3600, 86_400
REFRESH_LIFETIME, SESSION_LIFETIME = 7 * DAY, 90 * DAY
RETRY_WINDOW = 5 * 60
CAP = 3  # sessions per user, lowered so that a story of thirty steps reaches it
KEYS = ("key-of-the-first", "key-of-the-other")

pick = st.integers(0, 10**6)
keys = st.sampled_from([None, *KEYS])


@dataclass
class Access:
    token: str
    expires: int
    listed: bool = False


@dataclass
class Generation:
    """A refresh token: every text of it that was issued."""

    jti: str
    tokens: list[str]
    expires: int


@dataclass
class Device:
    """The model of one session."""

    person: "Person"
    sid: str
    created: int
    expires: int = 0
    used: float = 0
    access: list[Access] = field(default_factory=list)
    refresh: list[Generation] = field(default_factory=list)
    key: str | None = None
    rotated: int = 0
    revoked: bool = False
    gone: bool = False

    def is_live(self, at):
        return not (self.gone or self.revoked) and at < self.expires and self.person.active


@dataclass
class Person:
    caller: Caller
    password: str
    active: bool = True
    devices: list[Device] = field(default_factory=list)


class SessionMachine(RuleBasedStateMachine):
    """Users with devices. Each step takes a second."""

    def __init__(self, app):
        super().__init__()
        self.app = empty_tables(app)
        self.travel = time_machine.travel(START, tick=False)
        self.clock = self.travel.start()
        self.people = []
        self.turn = 0
        self.usable = 1  # refresh tokens of a session

    def teardown(self):
        try:
            for device in self.devices:
                self.check_all_tokens_of(device)
        finally:
            self.travel.stop()

    # --- the model

    @property
    def at(self):
        return int(now().timestamp())

    @property
    def devices(self):
        return [device for person in self.people for device in person.devices]

    def device(self, number):
        """Pick a live device four times in five. Otherwise most runs would end soon."""
        live = [device for device in self.devices if device.is_live(self.at)]
        among = live if live and number % 5 else self.devices
        return among[number // 5 % len(among)]

    def person(self, number):
        return self.people[number % len(self.people)]

    def tick(self, seconds=1):
        self.clock.shift(timedelta(seconds=seconds))

    def access_is(self, device, access):
        if access.expires <= self.at:
            return "token_expired"
        return 200 if device.is_live(self.at) and not access.listed else "token_revoked"

    def refresh_is(self, device, age, key):
        """Return the expected outcome for a refresh token that is so many rotations old."""
        if device.refresh[-1 - age].expires <= self.at:
            return "token_expired"
        if device.gone:
            return "token_revoked"
        live = 200 if device.is_live(self.at) else "token_revoked"
        repeat = key and key == device.key and self.at - device.rotated < RETRY_WINDOW
        return live if age < self.usable or (age == 1 and repeat) else "token_reused"

    def forget_expired(self):
        for device in self.devices:
            device.gone |= device.expires + HOUR <= self.at

    def forget_surplus(self, person):
        rows = [device for device in person.devices if not device.gone]
        rows.sort(key=lambda device: (not device.is_live(self.at), -device.used))
        for device in rows[CAP:]:
            device.gone = True

    def receive(self, device, tokens):
        """Store a token pair; assert that its claims are those of the model."""
        access, refresh = claims_of(tokens["access"]), claims_of(tokens["refresh"])
        assert access["sid"] == refresh["sid"] == device.sid
        assert refresh["exp"] == device.expires
        assert access["exp"] == min(self.at + HOUR, device.expires)
        device.access.append(Access(tokens["access"], access["exp"]))
        newest = device.refresh[-1] if device.refresh else None
        if newest and newest.jti == refresh["jti"]:
            newest.tokens.append(tokens["refresh"])
        else:
            assert refresh["jti"] not in {g.jti for d in self.devices for g in d.refresh}
            device.refresh.append(Generation(refresh["jti"], [tokens["refresh"]], refresh["exp"]))
        return refresh["jti"]

    def use(self, device):
        device.used = now().timestamp()
        device.expires = min(self.at + REFRESH_LIFETIME, device.created + SESSION_LIFETIME)

    def add_device(self, person, tokens):
        device = Device(person, claims_of(tokens["access"])["sid"], self.at)
        assert device.sid not in {known.sid for known in self.devices}
        self.use(device)
        person.devices.append(device)
        self.receive(device, tokens)
        self.forget_surplus(person)
        self.forget_expired()

    def flask(self, *words, stdin=None):
        done = self.app.test_cli_runner().invoke(args=words, input=stdin)
        assert done.exit_code == 0, done.output
        return done.output

    # --- what people do

    @initialize(rotation=st.sampled_from(["strict", "until_used"]))
    def choose_the_rotation(self, rotation):
        self.app.config["REFRESH_ROTATION"] = rotation
        self.usable = 2 if rotation == "until_used" else 1

    @initialize()
    def begin(self):
        """Start with two users, the first of them on two devices."""
        self.register("ada")
        self.tick()
        self.register("bob")
        self.login(0, 1)

    @precondition(lambda self: len(self.people) == 2)
    @rule(name=st.just("eve"))
    def register(self, name):
        caller = Caller(self.app.test_client(), f"{name}@example.com", f"{name}: first pass phrase")
        answer = caller.register()
        assert answer.status_code == 201
        self.people.append(Person(caller, caller.password))
        self.add_device(self.people[-1], answer.json["tokens"])

    @rule(who=pick, times=st.integers(1, 3))
    def login(self, who, times):
        person = self.person(who)
        for _ in range(times):
            self.tick()
            answer = self.sign_in(person)
            assert outcome(answer) == (200 if person.active else "invalid_credentials")
            if person.active:
                self.add_device(person, answer.json["tokens"])

    @rule(who=pick)
    def login_with_a_wrong_password(self, who):
        answer = self.person(who).caller.try_login(password="some other pass phrase")
        assert outcome(answer) == "invalid_credentials"

    def try_refresh(self, device, age, key, which=0):
        generation = device.refresh[-1 - age]
        expected = self.refresh_is(device, age, key)
        token = generation.tokens[which % len(generation.tokens)]
        answer = device.person.caller.refresh(token, key=key)
        assert outcome(answer) == expected
        if expected == "token_reused":
            device.revoked = True
        if expected == 200:
            if age == 0:
                self.use(device)
                device.key, device.rotated = key, self.at
            device.used = now().timestamp()
            successor = device.refresh[-1].jti
            jti = self.receive(device, answer.json)
            assert (jti == successor) == (age == 1)

    @rule(which=pick, key=keys)
    def refresh(self, which, key):
        self.try_refresh(self.device(which), 0, key)

    @rule(which=pick, age=pick, key=keys, copy=pick)
    def use_any_refresh_token(self, which, age, key, copy):
        device = self.device(which)
        self.try_refresh(device, age % len(device.refresh), key, copy)

    @rule(which=pick, key=keys, again=keys, wait=st.sampled_from([1, 2, 299, 300, 301, 500]))
    def lose_an_answer_and_repeat(self, which, key, again, wait):
        """With ``strict``, a retry with the key succeeds for five minutes, and no other."""
        device = self.device(which)
        self.try_refresh(device, 0, key)
        self.tick(wait)
        if len(device.refresh) > 1:
            self.try_refresh(device, 1, again)

    @rule(which=pick, key=st.sampled_from(KEYS), times=st.integers(1, 3))
    def lose_many_answers_and_go_on(self, which, key, times):
        device = self.device(which)
        self.try_refresh(device, 0, key)
        for _ in range(times if len(device.refresh) > 1 else 0):
            self.tick()
            self.try_refresh(device, 1, key)
        self.try_refresh(device, 0, None)

    @rule(which=pick, by=st.sampled_from(["access", "refresh", "both"]), other=pick, age=pick)
    def logout(self, which, by, other, age):
        """Any token that has not expired ends its session, even a rotated one."""
        sent, ended = {}, []
        if by != "refresh":
            device = self.device(which)
            access = device.access[age % len(device.access)]
            sent["access"] = access.token
            ended += [device] if access.expires > self.at else []
        if by != "access":
            device = self.device(other)
            generation = device.refresh[age % len(device.refresh)]
            sent["refresh"] = generation.tokens[0]
            ended += [device] if generation.expires > self.at else []
        answer = self.people[0].caller.logout(**sent)
        assert outcome(answer) == (204 if ended else "token_expired")
        for device in ended:
            device.revoked = True

    @rule(which=pick, age=pick, kind=st.sampled_from(["access", "refresh"]))
    def revoke(self, which, age, kind):
        device = self.device(which)
        if kind == "access":
            one = device.access[age % len(device.access)]
            token = one.token
        else:
            one = device.refresh[age % len(device.refresh)]
            token = one.tokens[-1]
        assert outcome(device.person.caller.revoke(token)) == 200
        if one.expires > self.at:  # else the token is not looked up
            if kind == "access":
                one.listed = True
            else:
                device.revoked = True
            self.forget_expired()

    @rule(which=pick, other=pick)
    def end_one_session(self, which, other):
        device, target = self.device(which), self.device(other)
        expected = self.access_is(device, device.access[-1])
        if expected == 200:
            theirs = target.gone or target.person is not device.person
            expected = "not_found" if theirs else 204
        token = device.access[-1].token
        answer = device.person.caller.call("DELETE", f"/api/sessions/{target.sid}/", token)
        assert outcome(answer) == expected
        target.revoked |= expected == 204

    @rule(which=pick)
    def end_the_other_sessions(self, which):
        device = self.device(which)
        expected = self.access_is(device, device.access[-1])
        answer = device.person.caller.call("DELETE", "/api/sessions/", device.access[-1].token)
        assert outcome(answer) == (204 if expected == 200 else expected)
        if expected == 200:
            for other in device.person.devices:
                other.revoked |= other is not device

    # --- what operators and time do

    @rule(who=pick)
    def close_or_open_the_account(self, who):
        person = self.person(who)
        person.active = not person.active
        word = "activate" if person.active else "deactivate"
        self.flask("users", word, person.caller.email)
        if not person.active:
            for device in person.devices:
                device.revoked = True

    @rule(who=pick)
    def set_password(self, who):
        person = self.person(who)
        old, person.password = person.password, f"pass phrase of {now().timestamp()}"
        words = ("users", "set-password", person.caller.email, "--password-stdin")
        self.flask(*words, stdin=f"{person.password}\n")
        for device in person.devices:
            device.revoked = True
        assert outcome(person.caller.try_login(password=old)) == "invalid_credentials"

    @rule()
    def prune(self):
        self.flask("tokens", "prune")
        self.forget_expired()

    @rule(seconds=st.sampled_from([-60.5, 1, 299, HOUR - 30, HOUR, DAY, 6 * DAY, 7 * DAY]))
    def let_time_pass(self, seconds):
        """Set the clock back once at most, and by half a second, so that no moment comes again."""
        self.tick(seconds if seconds > 0 or self.at == now().timestamp() else 1)

    @precondition(lambda self: self.devices and self.device(-1).is_live(self.at))
    @rule()
    def live_for_weeks(self):
        """Refresh every six days, up to where the session ends for good."""
        device = self.device(-1)
        for _ in range(5):
            self.tick(6 * DAY)
            self.try_refresh(device, 0, None)

    # --- what always holds

    @invariant()
    def a_second_passes(self):
        self.tick()

    @invariant()
    def each_list_of_sessions_is_that_of_the_model(self):
        for person in self.people:
            live = [device for device in person.devices if device.is_live(self.at)]
            live.sort(key=lambda device: -device.used)
            for device in live:
                if self.access_is(device, device.access[-1]) == 200:
                    answer = person.caller.get("/api/sessions/", device.access[-1].token)
                    listed = [(one["id"], one["current"]) for one in answer.json]
                    assert listed == [(other.sid, other is device) for other in live]
                    break

    @invariant()
    def the_store_holds_the_rows_of_the_model(self):
        with self.app.app_context():
            stored = db.session.execute(select(Session.id, Session.refresh_jti, Session.revoked_at))
            found = {(str(sid), jti, revoked is not None) for sid, jti, revoked in stored}
        kept = [device for device in self.devices if not device.gone]
        assert found == {(one.sid, one.refresh[-1].jti, one.revoked) for one in kept}

    @precondition(lambda self: self.devices)
    @invariant()
    def tokens_are_as_good_as_the_model_says(self):
        self.turn += 1
        self.check_all_tokens_of(self.device(self.turn), newest=2)

    def check_all_tokens_of(self, device, newest=None):
        caller, newest = device.person.caller, newest or len(device.refresh) + len(device.access)
        good = 0
        for age, generation in enumerate(device.refresh[: -newest - 1 : -1]):
            expected = self.access_is(device, Access("", generation.expires))
            if expected == 200 and age >= self.usable:
                expected = "token_revoked"
            for token in {generation.tokens[0], generation.tokens[-1]}:
                assert outcome(caller.verify(token)) == expected
            good += expected == 200
        assert good <= self.usable
        for access in device.access[-newest:]:
            assert outcome(caller.user(access.token)) == self.access_is(device, access)
