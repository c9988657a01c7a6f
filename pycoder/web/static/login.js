/** The sign-in page: the password or a passkey, then the second step, or its set-up where required. */
import { onSubmit, showError, showOutcome } from "./forms.js";
import { showCodes, showSetup } from "./recovery-codes.js";
import { focusFactor, secondFactor } from "./second-factor.js";
import { $, call, client, passkeys, takeReturn } from "./session.js";

const ENDED = /** @type {Record<string, string>} */ ({
  token_expired: "Your session has expired. Please sign in again.",
  token_revoked:
    "Your session was ended: on another device, by a new password, by an administrator, or because an old token of it was used again. Please sign in and check your recent activity.",
  token_reused:
    "An old token of your session was used again, so the session was ended to protect you. Please sign in and check your recent activity. If something there was not you, change your password.",
});
const OTHER_REASON = "You were signed out. Please sign in again.";
const TICKET_ENDED = "This sign-in took too long, or had too many wrong codes. Please enter your password again.";
const REPEATS = /^(passkey_(invalid|unknown|cancelled)|network_error)$/;

const [login, second, enrolment] = ["#login", "#second-step form", "#enrolment form"].map(
  (selector) => /** @type {HTMLFormElement} */ (document.querySelector(selector)));
let ticket = "";
let expiry = 0; // the timer of the ticket
let destination = ""; // after the sign-in
let staysHere = false; // while the recovery codes are shown

/** Show why the last session ended, or open the account (or the page left before) if a session exists by now. */
function update() {
  const { signedIn, ended } = client.state();
  if (signedIn && !staysHere) location.replace((destination ||= takeReturn()));
  const reason = !ended || ended === "logout" ? "" : (ENDED[ended] ?? OTHER_REASON);
  $("ended").hidden = !reason;
  $("ended").textContent = reason;
}

/** Show one step, and hide the others. */
function show(/** @type {string} */ id) {
  const steps = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".step")]);
  steps.forEach((step) => (step.hidden = step.id !== id));
  document.title = document.title.replace(/.* · /, `${$(id).querySelector("h1").textContent} · `);
}

/** Return to the first step, with the reason if there is one. The address that was typed stays. */
function restart(reason = "") {
  clearTimeout(expiry);
  ticket = "";
  [second, enrolment].forEach((form) => (form.reset(), showOutcome(form, "")));
  show("first-step");
  showOutcome(login, reason, "bad");
  $("password").value = "";
  $(reason ? "password" : "email").focus();
  waitForAutofill();
}

/** Go on with the second step of a login, or with its set-up for an account that has none yet. */
async function goOn(/** @type {import("./client/auth-client.js").AuthError} */ error) {
  ticket = error.ticket;
  if (!error.methods.length) {
    showSetup(enrolment, await call("POST", "/api/login/enrol/", { ticket }));
    show("enrolment");
    $("enrolment-code").focus();
  } else {
    show("second-step");
    showFactor(error.methods);
    focusFactor(second);
  }
  passkeyRequest.abort(); // of the first step
  clearTimeout(expiry);
  expiry = setTimeout(() => restart(TICKET_ENDED), error.expiresIn * 1000);
}

/** Send the second step. A ticket that has ended leads back to the first step. */
async function complete(/** @type {() => Promise<unknown>} */ send) {
  await send().catch((error) => {
    if (error.code !== "ticket_invalid") throw error;
    restart(TICKET_ENDED);
  });
}

const showFactor = secondFactor(second);
let passkeyRequest = new AbortController();

/** Offer passkeys among the suggestions of the address field, until another way is taken. */
async function waitForAutofill() {
  if (!(await passkeys.canAutofill())) return;
  passkeyRequest.abort();
  const { signal } = (passkeyRequest = new AbortController());
  const began = performance.now();
  await passkeys.signIn({ signal, conditional: true }).catch((error) => {
    if (signal.aborted || !REPEATS.test(error.code)) return; // without passkeys, the password remains
    const chosen = performance.now() - began > 1000; // an immediate failure would repeat for ever
    if (/invalid|unknown/.test(error.code)) showError(login, error);
    if (chosen) waitForAutofill();
  });
}

async function signInByPasskey() {
  showOutcome(login, "");
  await passkeys.signIn().catch((error) => (showError(login, error), waitForAutofill()));
}

client.onChange(update);
update();

onSubmit(login, async ({ email, password }) => {
  await client.login({ email: email.trim(), password }).catch((error) => { // else update() opens the account
    if (error.code !== "second_factor_required") throw error;
    return goOn(error);
  });
});
onSubmit(second, ({ remember_device, code, recovery_code }) => {
  const factor = code === undefined ? { recovery_code } : { code };
  return complete(() => client.secondStep({ ticket, remember_device: Boolean(remember_device), ...factor }));
});
second.querySelector("[data-use=passkey]")?.addEventListener("click", () => {
  const fields = { ticket, remember_device: $("remember").checked };
  showOutcome(second, "");
  complete(() => passkeys.secondStep(fields)).catch((error) => showError(second, error));
});
onSubmit(enrolment, async ({ code }) => {
  staysHere = true;
  try {
    await complete(async () => {
      const { recovery_codes = [] } = await client.signIn("/api/login/second-step/", { ticket, code });
      clearTimeout(expiry);
      show("new-codes");
      await showCodes($("new-codes"), recovery_codes);
    });
  } finally {
    staysHere = false;
    update();
  }
});

const restarts = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-restart]"));
restarts.forEach((button) => {
  button.disabled = false;
  button.addEventListener("click", () => restart());
});
if (passkeys.isSupported()) {
  $("passkey-way").hidden = false;
  $("passkey").disabled = false;
  $("passkey").addEventListener("click", signInByPasskey);
  waitForAutofill();
}
