/** One account: what it is, what happened to it, and what an administrator can do about it. */
import { onClick, status } from "./actions.js";
import { ask, begin, chosen, confirmed, isolated, present } from "./admin.js";
import { onSubmit } from "./forms.js";
import { $, call, element } from "./session.js";
import { deviceName, sentenceOf, showTime } from "./words.js";

const [, id] = location.pathname.match(/\/users\/(\d+)/) ?? [];
const path = `/api/admin/users/${id}/`;
const FACTORS = /** @type {Record<string, string>} */ ({
  totp: "Authenticator app", passkey: "Passkeys", recovery_code: "Recovery codes",
});

let user = /** @type {any} */ (null);
let isOwn = false;

/** @param {any} me */
async function load(me) {
  user = await call("GET", path);
  isOwn = user.id === me.id;
  const { factors, sessions, events } = user;
  $("heading").replaceChildren(chosen(user.username));
  document.title = document.title.replace(/.* · /, () => `${isolated(user.username)} · `);
  $("own").hidden = !isOwn;
  $("state").textContent = user.is_active ? "active" : "deactivated";
  $("state").className = user.is_active ? "badge good" : "badge bad";
  $("facts").replaceChildren(...facts());
  showRoles();
  showActions();
  $("no-devices").hidden = sessions.length > 0;
  $("device-list").replaceChildren(...sessions.map(deviceRow));
  $("event-list").replaceChildren(...events.map(eventRow));
  $("all-events").href = `/admin/events/?user=${id}`;
  $("reset-factors").disabled = !factors.length;
  $("end-sessions").disabled = !sessions.length;
}

function facts() {
  const names = [user.first_name, user.last_name].filter(Boolean).join(" ");
  const confirmation = user.email_verified ? "confirmed" : "not confirmed yet";
  const rows = /** @type {[string, (Node | string)[]][]} */ ([
    ["E-mail address", [chosen(user.email), " ", element("span", { className: "badge" }, confirmation)]],
    ["Name", names ? [chosen(names)] : []],
    ["Member since", [showTime(element("time"), user.date_joined, { dateStyle: "long" })]],
    ["Id", [String(user.id)]],
  ]);
  return rows.filter(([, parts]) => parts.length)
    .flatMap(([name, parts]) => [element("dt", {}, name), element("dd", {}, ...parts)]);
}

function showRoles() {
  $("no-roles").hidden = user.roles.length > 0;
  $("add-role").hidden = isOwn;
  $("role-list").replaceChildren(...user.roles.map((/** @type {string} */ role) => {
    const chip = element("li", { className: role === "admin" ? "badge strong" : "badge" }, role);
    if (isOwn) return chip;
    const remove = element("button", { type: "button", className: "remove", ariaLabel: `Remove the role ${role}` }, "×");
    onClick(remove, async () => removeRole(role));
    chip.append(remove);
    return chip;
  }));
}

function showActions() {
  const count = user.sessions.length;
  $("factors").textContent = user.factors.map((/** @type {string} */ kind) => FACTORS[kind] ?? kind).join(", ") || "Off.";
  $("password").textContent = user.has_password ? "Set." : "None: a link to set one was mailed.";
  $("reset-password").textContent = user.has_password ? "Reset…" : "Send the link again…";
  $("devices").textContent = count === 1 ? "Signed in on 1 device." : count ? `Signed in on ${count} devices.` : "Not signed in.";
  $("access").textContent = user.is_active ? "This account is active." : "Nobody can sign in to this account.";
  $("switch").textContent = user.is_active ? "Deactivate…" : "Activate…";
  $("switch").classList.toggle("danger", user.is_active);
  $("switch").disabled = isOwn;
}

/** @param {any} session */
function deviceRow(session) {
  const about = element("span", { className: "about" }, `${session.ip ?? "unknown IP address"} · last used `,
    showTime(element("time"), session.last_used_at), " · signed in ",
    showTime(element("time"), session.created_at, { dateStyle: "medium" }));
  return element("li", {}, element("div", {}, element("p", {}, element("strong", {}, deviceName(session.user_agent))), about));
}

/** @param {any} event */
function eventRow(event) {
  const { sentence, alarming } = sentenceOf(event.event);
  const text = element(alarming ? "strong" : "span", { className: alarming ? "alarming" : "" }, sentence);
  const about = element("span", { className: "about" }, showTime(element("time"), event.at));
  if (event.ip || event.user_agent) {
    about.append(` · ${[event.user_agent && deviceName(event.user_agent), event.ip].filter(Boolean).join(", ")}`);
  }
  if (event.actor_id) about.append(" · by ", element("a", { href: `/admin/users/${event.actor_id}/` }, `#${event.actor_id}`));
  const reason = event.reason ? [" ", element("span", { className: "badge" }, event.reason)] : [];
  return element("li", {}, element("div", {}, element("p", {}, text, ...reason), about));
}

/** Show the account again, and report what was done. The focus moves, because the button may be gone. */
const report = (/** @type {string} */ sentence, /** @type {string} */ headingId) => async () => {
  await present(() => load({ id: isOwn ? user.id : null }));
  if (!$("refused").hidden || !$("status").hidden) return;
  $(headingId).focus();
  status(sentence);
};

/** @param {(roles: string[]) => string[]} change of the roles that the account has by now */
async function changeRoles(/** @type {string} */ purpose, change) {
  const { roles } = await call("GET", path);
  await confirmed(purpose, "PATCH", path, { roles: change(roles) });
}

/** @param {string} role */
function removeRole(role) {
  const name = isolated(user.username);
  ask({
    title: `Remove the role ${role}?`,
    text: `${name} stays signed in, and can no longer do what only this role allows.`,
    yes: "Remove role",
  }, () => changeRoles(`You are about to remove the role ${role} of ${name}.`,
    (roles) => roles.filter((other) => other !== role)), report(`The role ${role} is removed.`, "roles-title"));
}

onSubmit($("add-role"), async ({ roles: typed }) => {
  const [role, name] = [typed.trim(), isolated(user.username)];
  const give = () => changeRoles(`You are about to give ${name} the role ${isolated(role)}.`,
    (roles) => [...new Set([...roles, role])]);
  const done = async () => {
    $("add-role").reset();
    await report(`The role ${role} is given.`, "roles-title")();
  };
  if (role !== "admin") return give().then(done);
  ask({
    title: `Make ${name} an administrator?`,
    text: "Administrators see every account and every event, give and take roles, and deactivate accounts. The owner of the account is told by mail.",
    yes: "Make administrator",
  }, give, done);
});

onClick($("reset-factors"), async () => {
  const name = isolated(user.username);
  ask({
    title: `Remove two-step sign-in of ${name}?`,
    text: "The authenticator app, all passkeys, the recovery codes and the remembered devices are removed, and all devices are signed out. From then on the password alone signs in. The owner is told by mail. First make sure that it is the owner who asks for this.",
    yes: "Remove two-step sign-in",
  }, () => confirmed(`You are about to remove two-step sign-in of ${name}.`, "DELETE", `${path}factors/`),
  report("Two-step sign-in is removed, and all devices are signed out.", "actions-title"));
});

onClick($("reset-password"), async () => {
  const [name, address] = [isolated(user.username), isolated(user.email)];
  const text = `A link to set a password is mailed to ${address}.`;
  ask(user.has_password ? {
    title: `Reset the password of ${name}?`,
    text: `The password stops working now, and all devices are signed out. ${text} You never see the password.`,
    yes: "Reset password",
  } : { title: "Send the link again?", text: `${text} Links from before stop working.`, yes: "Send the link", danger: false },
  () => confirmed(`You are about to mail a link to set a password to ${address}.`, "POST", `${path}password-reset/`),
  report("The link is on its way.", "actions-title"));
});

onClick($("end-sessions"), async () => {
  const name = isolated(user.username);
  ask({
    title: `Sign ${name} out everywhere?`,
    text: "All devices are signed out at once. Password and second step stay: the owner can sign in again.",
    yes: "Sign out everywhere",
  }, () => confirmed(`You are about to sign ${name} out on all devices.`, "DELETE", `${path}sessions/`),
  report("All devices are signed out.", "actions-title"));
});

onClick($("switch"), async () => {
  const [name, is_active] = [isolated(user.username), !user.is_active];
  ask(is_active ? {
    title: `Activate ${name}?`,
    text: "The owner can sign in again, with the same password and second step as before.",
    yes: "Activate", danger: false,
  } : {
    title: `Deactivate ${name}?`,
    text: "All devices are signed out at once, and nobody can sign in to this account until it is activated again. Nothing is deleted.",
    yes: "Deactivate",
  }, () => confirmed(`You are about to ${is_active ? "activate" : "deactivate"} ${name}.`, "PATCH", path, { is_active }),
  report(is_active ? "The account is active again." : "The account is deactivated, and all its devices are signed out.", "actions-title"));
});

begin(load);
