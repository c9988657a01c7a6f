/** What codes, times and user agents are called among people. */

const EVENTS = /** @type {Record<string, string>} */ ({
  "user.registered": "Account created",
  "user.created": "Account created by an administrator",
  "user.updated": "Profile changed",
  "user.activated": "Account activated",
  "user.deactivated": "Account deactivated",
  "user.unlocked": "Pause after failed sign-ins lifted",
  "password.set": "Password set by an administrator",
  "password.changed": "Password changed",
  "password.reset_asked": "Link for a new password asked for",
  "password.reset": "New password set by a mailed link",
  "email.verified": "E-mail address confirmed",
  "email.change_asked": "Change of the e-mail address asked for",
  "email.changed": "E-mail address changed",
  "login.succeeded": "Signed in",
  "login.refused": "Failed sign-in",
  "proof.refused": "Wrong password in the account",
  "csrf.refused": "A page that is not ours, or not up to date, tried to use this session, and was refused",
  "session.reused": "A used-up key of a session was presented again, so that session was ended",
  "session.ended": "Signed out",
  "sessions.others_ended": "All other devices signed out",
  "token.misplaced": "A key of a session was sent in another way than its own, and refused",
  "token.revoked": "A token was revoked",
  "limit.reached": "Too many tries; paused for a while",
});

const ALARMING = /^(login\.refused|proof\.refused|csrf\.refused|session\.reused|token\.misplaced|limit\.reached)$/;

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

/** @param {string | null} agent @returns {string} a guess, good enough to tell devices apart */
export function deviceName(agent) {
  if (!agent) return "Unknown device";
  const [browser, system] = [BROWSERS, SYSTEMS].map((all) => all.find(([sign]) => sign.test(agent))?.[1]);
  if (browser && system) return `${browser} on ${system}`;
  return browser ?? agent.slice(0, 60);
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
