/** What all forms have in common: busy states, errors beside their fields, passwords shown. */
import { AuthError } from "./client/auth-client.js";
import { strength } from "./strength.js";
import { $, element } from "./session.js";

const MISSING = "Please fill in this field.";

/**
 * Send a form by a function, and show what it answers or throws.
 *
 * @param {HTMLFormElement} form
 * @param {(fields: any) => Promise<string | void>} send returns a sentence for the reader, if any
 */
export function onSubmit(form, send) {
  form.noValidate = true; // errors stand beside their fields, where they can be read again
  inputs(form).forEach((input) => input.addEventListener("input", () => mark(input, [])));
  form.querySelectorAll(".reveal").forEach(enableReveal);
  form.querySelectorAll(".strength").forEach(enableStrength);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy === "true") return;
    const missing = inputs(form).filter((input) => input.validity.valueMissing);
    inputs(form).forEach((input) => mark(input, missing.includes(input) ? [MISSING] : []));
    say(form, "");
    if (missing.length) return missing[0].focus();
    form.ariaBusy = "true";
    try {
      const sentence = await send(Object.fromEntries(new FormData(form)));
      if (sentence) say(form, sentence, "good");
    } catch (error) {
      show(form, error);
    } finally {
      form.ariaBusy = "false";
    }
  });
  form.querySelectorAll("button").forEach((button) => (button.disabled = false));
}

/** @param {Element} form @returns {HTMLInputElement[]} the fields that a person sees */
function inputs(form) {
  return [...form.querySelectorAll("input")].filter((input) => !input.hidden);
}

/** @param {HTMLFormElement} form @param {unknown} error */
function show(form, error) {
  const { code, message, errors, retryAfter } = /** @type {AuthError} */ (error);
  if (!(error instanceof AuthError)) console.error(error);
  const wrong = inputs(form).filter((input) => errors?.[input.name]);
  wrong.forEach((input) => mark(input, errors[input.name]));
  const named = new Set(wrong.map((input) => input.name));
  const others = Object.keys(errors ?? {}).filter((name) => !named.has(name));
  const rest = others.flatMap((name) => errors[name]).join(" ");
  say(form, [message, rest, retryAfter ? inWords(retryAfter) : ""].filter(Boolean).join(" "), "bad");
  if (code === "invalid_credentials") wrong.push(...inputs(form).filter(isCurrentPassword));
  wrong[0]?.focus();
}

/** @param {HTMLInputElement} input */
const isCurrentPassword = (input) => input.autocomplete === "current-password";

/** @param {number} seconds */
function inWords(seconds) {
  if (seconds < 5) return "";
  const [count, unit] = seconds < 90 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  return `Try again in ${count} ${unit}${count === 1 ? "" : "s"}.`;
}

/** @param {HTMLInputElement} input @param {string[]} reasons */
function mark(input, reasons) {
  input.ariaInvalid = reasons.length ? "true" : null;
  $(`${input.id}-error`).textContent = reasons.join(" ");
}

/** @param {Element} form @param {string} sentence @param {string} [kind] good or bad */
export function say(form, sentence, kind = "good") {
  const outcome = form.querySelector(".outcome");
  outcome?.replaceChildren(...(sentence ? [element("p", { className: `notice ${kind}` }, sentence)] : []));
}

/** @param {Element} button */
function enableReveal(button) {
  const input = $(button.getAttribute("aria-controls") ?? "");
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-pressed", String(shown));
  });
  button.setAttribute("aria-label", `Show ${button.closest(".field")?.querySelector("label")?.textContent}`);
}

/** @param {Element} hint */
function enableStrength(hint) {
  const [meter, output] = [hint.querySelector("meter"), hint.querySelector("output")];
  const input = $(output?.getAttribute("for") ?? "");
  input.addEventListener("input", () => {
    /** @type {HTMLElement} */ (hint).hidden = !input.value;
    const others = inputs(input.form).filter((one) => one !== input && one.type !== "password");
    const { score, sentence } = strength(input.value, others.map((one) => one.value));
    Object.assign(meter ?? {}, { value: score });
    Object.assign(output ?? {}, { value: sentence });
  });
}
