/** What the pages of the administration share: states, questions, confirmed calls, and words. */
import { connectDialogs, isLeaving, leave, onClick, status } from "./actions.js";
import { onSubmit, showOutcome } from "./forms.js";
import { hasFactor, methodsOf, noteMethods, obtain, withProof } from "./reauthenticate.js";
import { $, call, client, element } from "./session.js";
import { AuthError } from "./client/auth-client.js";

/** @typedef {{ title: string, text: string, link: [href: string, label: string] }} Refusal */
const REFUSALS = /** @type {Record<string, Refusal>} */ ({
  forbidden: {
    title: "This page is for administrators",
    text: "Your account does not have the role that opens it.",
    link: ["/account", "Back to your account"],
  },
  insufficient_user_authentication: {
    title: "Administrators sign in with a second step",
    text: "Set up an authenticator app or a passkey in your account first, and then come back.",
    link: ["/account#two-step", "Set up a second step"],
  },
  not_found: {
    title: "There is no such account",
    text: "It may have been deleted.",
    link: ["/admin/", "All people"],
  },
});
const PATIENCE = 500; // ms until a page says that it is loading
const question = $("question-dialog");
const answers = question.querySelector("form");

const name = $("heading").textContent; // of the page

let onYes = async () => {};

/** @param {string} text that somebody chose @returns {string} it, unable to reorder the sentence around it */
export const isolated = (text) => `\u2068${text}\u2069`;

/** @param {string} text that somebody chose */
export const chosen = (text) => element("bdi", {}, text);

/**
 * Show the page with what a function loads, or why that is impossible and what to do now.
 *
 * @param {() => Promise<void>} load
 */
export async function present(load) {
  const late = setTimeout(() => status("Loading…"), PATIENCE);
  $("main").ariaBusy = "true";
  try {
    if (!$("refused").hidden) $("heading").textContent = name;
    await load();
    clearTimeout(late);
    status("");
    $("refused").hidden = true;
    $("parts").hidden = false;
    $("admin").hidden = false;
  } catch (error) {
    clearTimeout(late);
    explain(error, () => present(load));
  }
  $("main").ariaBusy = "false";
}

/** @param {any} error @param {() => Promise<void>} repeat */
function explain(error, repeat) {
  if (!(error instanceof AuthError)) console.error(error);
  if (isLeaving()) return;
  if (REFUSALS[error.code]) return refuse(error.code, repeat);
  const again = element("button", { type: "button", className: "link" }, "Try again");
  onClick(again, repeat);
  status(error.message);
  $("status").append(" ", again);
}

/** @param {string} code @param {() => Promise<void>} repeat */
function refuse(code, repeat) {
  const { title, text, link: [href, label] } = REFUSALS[code];
  const [sentence, actions] = $("refused").querySelectorAll("p");
  status("");
  $("admin").hidden = true;
  $("refused").hidden = false;
  $("parts").hidden = code !== "not_found";
  $("heading").textContent = title;
  if (code === "insufficient_user_authentication" && hasFactor()) {
    const confirm = element("button", { type: "button" }, "Confirm it is you");
    onClick(confirm, () => obtain("You are about to open the administration.", true).then(repeat));
    sentence.textContent = "You have signed in here without it. Confirm it now to go on.";
    actions.replaceChildren(confirm);
  } else {
    sentence.textContent = text;
    actions.replaceChildren(element("a", { className: "button", href }, label));
  }
  $("heading").focus();
}

/**
 * Make a call that needs a proof of the administrator.
 *
 * @param {string} purpose a sentence that says what is about to happen
 * @param {string} method @param {string} path @param {object} [fields]
 */
export const confirmed = (purpose, method, path, fields = {}) =>
  withProof((proof) => call(method, path, { ...fields, ...proof }), { purpose });

/**
 * Ask a question that says what will happen, and do it after a yes. Errors appear below the question.
 *
 * @param {{ title: string, text: string, yes: string, danger?: boolean }} words
 * @param {() => Promise<unknown>} act
 * @param {() => Promise<void>} done called when the question is closed
 */
export function ask({ title, text, yes, danger = true }, act, done) {
  const button = answers.querySelector("[type=submit]");
  $("question-title").textContent = title;
  $("question-text").textContent = text;
  button.firstElementChild.textContent = yes;
  button.className = danger ? "danger" : "";
  showOutcome(answers, "");
  onYes = async () => {
    await act();
    question.close();
    await done();
  };
  question.showModal();
  question.querySelector("[data-close]").focus(); // Enter alone does nothing
}

/**
 * Begin a page: connect its dialogs, learn how its user confirms, and show it.
 *
 * @param {(me: any) => Promise<void>} load gets the user
 */
export async function begin(load) {
  connectDialogs();
  onSubmit(answers, () => onYes());
  if (!client.state().signedIn) return leave();
  await present(async () => {
    const [me, factors] = await Promise.all([client.getUser(), call("GET", "/api/factors/")]);
    if (!me) return; // signed out meanwhile: the page leaves
    noteMethods(methodsOf(factors));
    document.querySelectorAll(".own-name").forEach((input) => Object.assign(input, { value: me.email }));
    await load(me);
  });
}
