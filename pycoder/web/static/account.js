/** The account page: profile, e-mail address, password, devices, activity and data. See two-step.js. */
import { connectDialogs, expectEnd, isLeaving, leave, onClick, status } from "./actions.js";
import { onSubmit } from "./forms.js";
import { forgetProof, withProof } from "./reauthenticate.js";
import { $, call, client, element, passkeys } from "./session.js";
import { connectFactors, showFactors } from "./two-step.js";
import { deviceName, sentenceOf, showTime } from "./words.js";
import { AuthError } from "./client/auth-client.js";

const FEW_EVENTS = 8;
const NOT_CONFIRMED = "You are signed out in this browser, but the server did not confirm it. "
  + "Your session may still be active: sign in again later and sign it out under “Devices”.";

/** Return the user. While the server is unavailable, retry. */
async function loadUser() {
  for (;;) {
    try {
      const user = await client.getUser();
      status("");
      return user;
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      status(`${error.message} You are still signed in; trying again…`);
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(2, error.retryAfter)));
    }
  }
}

let verified = false; // whether the address is confirmed

/** @param {any} user */
function showUser(user) {
  verified = user.email_verified;
  for (const name of ["username", "first_name", "last_name"]) $(name).value = user[name];
  document.querySelectorAll(".own-name").forEach((input) => Object.assign(input, { value: user.email }));
  $("address").textContent = user.email;
  $("verified").textContent = user.email_verified ? "confirmed" : "not confirmed yet";
  $("resend").hidden = user.email_verified;
  showTime($("joined"), user.date_joined, { dateStyle: "long" });
  $("administration").hidden = !user.roles.includes("admin");
}

async function showDevices() {
  const sessions = await call("GET", "/api/sessions/");
  $("device-list").replaceChildren(...sessions.map(deviceRow));
  $("sign-out-others").hidden = sessions.length < 2;
}

/** @param {any} session */
function deviceRow(session) {
  const name = element("strong", {}, deviceName(session.user_agent));
  const lastUsed = showTime(element("time"), session.last_used_at);
  const about = element("span", { className: "about" }, `${session.ip ?? "unknown IP address"} · last used `, lastUsed);
  const button = element("button", { type: "button", className: "quiet" }, "Sign out");
  button.setAttribute("aria-label", `Sign out ${name.textContent}, ${about.textContent}`);
  onClick(button, session.current ? signOut : () => signOutDevice(session.id));
  const badge = session.current ? [" ", element("span", { className: "badge good" }, "this device")] : [];
  return element("li", {}, element("div", {}, element("p", {}, name, ...badge), about), button);
}

/** @param {string} id */
async function signOutDevice(id) {
  await call("DELETE", `/api/sessions/${id}/`).catch((error) => {
    if (error.code !== "not_found") throw error; // the session had ended already
  });
  await report("The device is signed out.", "devices-title");
}

async function signOutOthers() {
  await call("DELETE", "/api/sessions/");
  await report("All other devices are signed out.", "devices-title");
}

/** Update the lists and report what was done. The focus moves, because the button may be gone. */
async function report(/** @type {string} */ sentence, /** @type {string} */ headingId) {
  await Promise.all([showDevices(), showEvents(), showFactors(verified)]);
  $(headingId).focus();
  status(sentence);
}

async function signOut() {
  expectEnd();
  status("Signing out…");
  await client.logout().catch(() => alert(NOT_CONFIRMED));
  leave();
}

async function showEvents() {
  const events = await call("GET", "/api/user/activity/");
  $("event-list").replaceChildren(...events.map(eventRow));
  $("all-events").hidden = events.length <= FEW_EVENTS || $("all-events").dataset.pressed;
}

/** @param {any} event @param {number} at */
function eventRow(event, at) {
  const device = [deviceName(event.user_agent), event.ip].filter(Boolean).join(", ");
  const others = event.by_admin ? "by an administrator" : !event.ip && "by an operator";
  const row = element("li", { hidden: at >= FEW_EVENTS && !$("all-events").dataset.pressed });
  const { sentence, alarming } = sentenceOf(event.event);
  const text = element(alarming ? "strong" : "span", { className: alarming ? "alarming" : "" }, sentence);
  row.append(element("div", {}, element("p", {}, text),
    element("span", { className: "about" }, showTime(element("time"), event.at), ` · ${others || device}`)));
  return row;
}

async function exportData() {
  const json = JSON.stringify(await call("GET", "/api/user/export/"), null, 2);
  const href = URL.createObjectURL(new Blob([json], { type: "application/json" }));
  element("a", { href, download: "pycoder-account.json" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

/** @param {string} selector @returns {any} */
const form = (selector) => document.querySelector(selector);

onClick($("sign-out"), signOut);
onClick($("sign-out-others"), signOutOthers);
onClick($("export"), exportData);
onClick($("all-events"), async () => {
  $("all-events").dataset.pressed = "true";
  await showEvents();
  $("activity-title").focus();
});
onClick($("delete"), async () => $("delete-dialog").showModal());
connectDialogs();
connectFactors(report);

onSubmit(form("#profile form"), async ({ username, first_name, last_name }) => {
  showUser(await call("PATCH", "/api/user/", { username, first_name, last_name }));
  showEvents();
  return "Your profile is saved.";
});
onSubmit(form("#resend"), async () => {
  await call("POST", "/api/email/verify/resend/");
  return "An e-mail with the link is on its way.";
});
onSubmit(form("#change-email"), async ({ email, password }) => {
  const act = (/** @type {object} */ proof) => call("POST", "/api/email/change/", { email: email.trim(), ...proof });
  await withProof(act, { password, purpose: `You are about to change your e-mail address to ${email.trim()}.` });
  form("#change-email").reset();
  return "We have sent a link to the new address. The change takes effect when you open the link and confirm it.";
});
onSubmit(form("#password form"), async ({ current_password, new_password }) => {
  await withProof(
    ({ password, proof }) => client.changePassword({ ...(proof ? { proof } : { current_password: password }), new_password }),
    { password: current_password, purpose: "You are about to change your password." },
  );
  forgetProof();
  form("#password form").reset();
  await Promise.all([showDevices(), showEvents(), loadUser().then(showUser)]);
  return "Your password is changed, and your other devices are signed out.";
});
onSubmit(form("#delete-dialog form"), async ({ password }) => {
  const act = (/** @type {object} */ proof) => call("DELETE", "/api/user/", proof);
  await withProof(act, { password, always: true, purpose: "You are about to delete your account for good." });
  expectEnd();
  await client.logout().catch(() => null); // drop the tokens; the session has ended already
  leave("/#account-deleted");
});

const user = client.state().signedIn ? await loadUser() : null;
if (user) {
  showUser(user);
  $("account").hidden = false;
  $("sign-out").disabled = false;
  await Promise.all([showDevices(), showEvents(), showFactors(verified)]).catch((error) => status(error.message));
  passkeys.signalAccount();
  if (location.hash) $(location.hash.slice(1))?.scrollIntoView();
} else if (!isLeaving()) {
  leave();
}
