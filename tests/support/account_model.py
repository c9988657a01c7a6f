"""The model of sessions, with what proves and changes a password."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.support.callers import outcome
from tests.support.session_model import Device, SessionMachine, pick

PROOF_LIFETIME = 5 * 60
MOST_PROOFS = 5  # of an account
UNKNOWN = "x" * 43


@dataclass
class Proof:
    device: Device
    value: str
    made: int
    dead: bool = False


class AccountMachine(SessionMachine):
    """Users who also prove and change their passwords."""

    def __init__(self, app):
        super().__init__(app)
        self.proofs = []

    def is_good(self, proof, device):
        in_time = self.at - proof.made < PROOF_LIFETIME
        return proof.device is device and in_time and not proof.dead

    def proofs_of(self, person):
        return [proof for proof in self.proofs if proof.device.person is person and not proof.dead]

    def evidence(self, device, by, other):
        """Return the fields that a caller sends to prove itself, and whether they suffice."""
        if by == "password":
            return {"password": device.person.password}, self.password_is_enough(device.person)
        if by == "nothing":
            return {}, False
        proofs = self.proofs_of(device.person) or self.proofs
        if not proofs:
            return {"proof": UNKNOWN}, False
        proof = proofs[other % len(proofs)]
        return {"proof": proof.value}, self.is_good(proof, device)

    @rule(which=pick, right=st.sampled_from([True, True, False]))
    def prove(self, which, right):
        self.try_to_prove(self.device(which), right=right)

    def try_to_prove(self, device, *, right=True):
        factor = self.second_factor(device.person)
        expected = self.access_is(device, device.access[-1])
        password = device.person.password if right else "some other pass phrase"
        answer = self.send(device, "reauthenticate", password=password, **factor)
        assert outcome(answer) == (
            "invalid_credentials" if (expected, right) == (200, False) else expected
        )
        if answer.status_code == 200:
            self.factor_was_used(device.person, factor)
            self.proofs.append(Proof(device, answer.json["proof"], self.at))
            for proof in self.proofs_of(device.person)[:-MOST_PROOFS]:
                proof.dead = True

    @rule(which=pick, by=st.sampled_from(["password", "proof", "proof", "nothing"]), other=pick)
    def change_password(self, which, by, other):
        """Every session ends, and the device goes on in another one."""
        device = self.device(which)
        fields, good = self.evidence(device, by, other)
        if "password" in fields:
            fields["current_password"] = fields.pop("password")
        new = f"pass phrase of {self.at}"
        answer = self.send(device, "password/change", new_password=new, **fields)
        expected = self.access_is(device, device.access[-1])
        if expected == 200 and not good:
            expected = "insufficient_user_authentication"
        assert outcome(answer) == expected
        if expected == 200:
            self.change_succeeded(device.person, new, answer.json["tokens"])

    def sign_in(self, person):
        return person.caller.try_login(password=person.password)

    def password_is_enough(self, person):
        return True

    def second_factor(self, person):
        """Return the fields of a second factor of an account that has one."""
        return {}

    def factor_was_used(self, person, factor):
        pass

    def change_succeeded(self, person, new, tokens):
        person.password = new
        for device in person.devices:
            device.revoked = True
        self.forget_secrets(person)
        self.add_device(person, tokens)

    def forget_secrets(self, person):
        for proof in self.proofs_of(person):
            proof.dead = True

    def send(self, device, path, **fields):
        token = device.access[-1].token
        return device.person.caller.call("POST", f"/api/{path}/", token, json=fields)
