/** Texts for events, user agents and times. */

const EVENTS = /** @type {Record<string, string>} */ ({
  "user.registered": "Account created",
  "user.created": "Account created by an operator",
  "user.invited": "Invitation sent by an administrator",
  "invitation.accepted": "Invitation accepted with a link from an e-mail",
  "user.updated": "Profile changed",
  "user.activated": "Account activated",
  "user.deactivated": "Account deactivated",
  "user.unlocked": "Sign-in unlocked by an operator",
  "password.set": "Password set by an operator",
  "password.voided": "Password voided by an administrator; all devices signed out",
  "password.changed": "Password changed",
  "password.reset_asked": "Password reset requested",
  "password.reset": "New password set with a link from an e-mail",
  "email.verified": "E-mail address confirmed",
  "email.change_asked": "Change of the e-mail address requested",
  "email.changed": "E-mail address changed",
  "email.change_undone": "Change of the e-mail address undone with a link from an e-mail",
  "login.succeeded": "Signed in",
  "login.refused": "Failed sign-in",
  "login.half": "Correct password; the second step was asked for",
  "login.second_refused": "Failed second step of a sign-in or confirmation",
  "factor.added": "Authenticator app set up; all other devices signed out",
  "factor.removed": "Authenticator app removed; all other devices signed out",
  "factors.reset": "Two-step sign-in removed by an administrator",
  "factors.undone": "Two-step sign-in removed with a link from an e-mail",
  "recovery_codes.created": "New recovery codes created",
  "recovery_code.used": "Recovery code used",
  "device.remembered": "Device remembered: no second step there for 30 days",
  "devices.forgotten": "Remembered devices forgotten",
  "passkey.added": "Passkey added",
  "passkey.removed": "Passkey removed",
  "passkey.refused": "Passkey rejected",
  "passkey.counter_fell": "Passkey rejected because it may have been copied",
  "proof.created": "Identity confirmed for a change",
  "proof.refused": "Wrong password entered to confirm a change",
  "role.granted": "Role given",
  "role.revoked": "Role taken away",
  "csrf.refused": "Request from another website, or from an outdated page, rejected",
  "session.reused": "Session ended because an old token of it was used again",
  "session.ended": "Signed out",
  "sessions.others_ended": "All other devices signed out",
  "sessions.all_ended": "All devices signed out by an administrator",
  "token.misplaced": "Token rejected because it was sent in the wrong place",
  "token.revoked": "Access token revoked",
  "token.adopted": "Sign-in taken over from the platform before",
  "token.adoption_refused": "A sign-in on the platform before was not taken over",
  "takeover.started": "Takeover of sign-ins of another platform started",
  "takeover.stopped": "Takeover of sign-ins of another platform stopped",
  "takeover.listed": "Sign-ins of another platform listed for the takeover",
  "limit.reached": "Too many attempts; paused for a while",
  "user.deleted": "Account deleted",
  "users.imported": "Accounts imported",
  "users.exported": "Accounts exported",
  "key.created": "Signing key created",
  "key.rotated": "Signing key replaced",
  "key.retired": "Signing key retired",
  "service.created": "Service registered",
  "service.deleted": "Service removed",
  "service.refused": "Request of a service with wrong credentials rejected",
  "system.restored": "Service restored from a backup",
  "mail.given_up": "A mail could not be delivered to this account's address",
});

const ALARMING = /^(login\.(second_)?refused|proof\.refused|passkey\.(refused|counter_fell)|csrf\.refused|session\.reused|service\.refused|token\.(misplaced|adoption_refused)|limit\.reached)$/;

/** The names of all events, with their sentences. @type {[string, string][]} */
export const ALL_EVENTS = Object.entries(EVENTS);

/** @param {string} event @returns {{ sentence: string, alarming: boolean }} */
export function sentenceOf(event) {
  return { sentence: EVENTS[event] ?? event, alarming: ALARMING.test(event) };
}

const BROWSERS = /** @type {[RegExp, string][]} */ ([
  [/Edg\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\/|FxiOS/, "Firefox"],
  [/Chrome\/|CriOS/, "Chrome"],
  [/Safari\//, "Safari"],
]);
const SYSTEMS = /** @type {[RegExp, string][]} */ ([
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS X/, "macOS"],
  [/CrOS/, "ChromeOS"],
  [/Linux/, "Linux"],
]);

/** @param {string | null} agent @returns {string} a name that helps to tell devices apart */
export function deviceName(agent) {
  if (!agent) return "Unknown device";
  const [browser, system] = [BROWSERS, SYSTEMS].map((names) => names.find(([pattern]) => pattern.test(agent))?.[1]);
  if (browser && system) return `${browser} on ${system}`;
  return browser ?? `“${agent.slice(0, 60)}”`; // anybody can send it, also what looks like an address
}

/**
 * @template {HTMLTimeElement} T @param {T} place @param {string} iso
 * @param {Intl.DateTimeFormatOptions} [format] @returns {T}
 */
export function showTime(place, iso, format = { dateStyle: "medium", timeStyle: "short" }) {
  place.dateTime = iso;
  place.textContent = new Intl.DateTimeFormat(navigator.language, format).format(new Date(iso));
  return place;
}
