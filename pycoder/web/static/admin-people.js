/** The people: a list to search, and invitations. */
import { onClick, status } from "./actions.js";
import { begin, chosen, confirmed, isolated } from "./admin.js";
import { listOf } from "./admin-list.js";
import { onSubmit, showOutcome } from "./forms.js";
import { $, element } from "./session.js";
import { showTime } from "./words.js";

const dialog = $("invite-dialog");
const form = dialog.querySelector("form");

/** @param {string} text @param {string} [kind] */
const badge = (text, kind = "") => element("span", { className: `badge ${kind}` }, text);

/** @param {any} user */
function cells(user) {
  const link = element("a", { href: `/admin/users/${user.id}/`, className: "whole" }, chosen(user.username));
  const address = user.username === user.email ? [] : [element("span", { className: "about" }, chosen(user.email))];
  const names = [user.first_name, user.last_name].filter(Boolean).join(" ");
  const person = names ? [element("span", { className: "about" }, chosen(names))] : [];
  const state = [user.is_active ? badge("active", "good") : badge("deactivated", "bad")];
  if (!user.has_password) state.push(badge("no password"));
  if (!user.email_verified) state.push(badge("address not confirmed"));
  if (user.second_factor) state.push(badge("two-step"));
  return [
    [link, ...person, ...address],
    user.roles.map((/** @type {string} */ role) => badge(role, role === "admin" ? "strong" : "")),
    state,
    [showTime(element("time"), user.date_joined, { dateStyle: "medium" })],
  ];
}

const load = listOf({
  path: "/api/admin/users/",
  cells,
  title: (count, isAll) =>
    !count ? "Nobody found" : count === 1 ? "1 person" : isAll ? `${count} people` : `${count} people on this page`,
});

onClick($("invite"), async () => {
  form.reset();
  showOutcome(form, "");
  dialog.showModal();
  $("invite-email").focus();
});
onSubmit(form, async ({ email, username, first_name, last_name, roles }) => {
  const to = email.trim();
  const fields = { email: to, first_name, last_name, roles: roles.split(/[\s,]+/).filter(Boolean) };
  const user = await confirmed(`You are about to invite ${isolated(to)}.`, "POST", "/api/admin/users/",
    { ...fields, ...(username && { username }) });
  dialog.close();
  await load();
  status("The invitation is on its way to ");
  $("status").append(element("a", { href: `/admin/users/${user.id}/` }, chosen(user.email)), ".");
});

begin(() => load());
