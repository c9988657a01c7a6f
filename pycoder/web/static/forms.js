/** Behaviour shared by all forms: busy state, errors beside fields, password visibility and strength. */
import { AuthError } from "./client/auth-client.js";
import { strength } from "./strength.js";
import { $, element } from "./session.js";

const MISSING = "Please fill in this field.";
// The fields to correct after an error that names none.
const BLAMED = /** @type {Record<string, (input: HTMLInputElement) => boolean>} */ ({
  invalid_credentials: (input) => input.autocomplete === "current-password",
  invalid_code: (input) => /code$/.test(input.name),
});

/**
 * Submit a form through a function, and show the sentence that it returns or the error it throws.
 *
 * @param {HTMLFormElement} form
 * @param {(fields: any) => Promise<string | void>} send returns a sentence for the user, if any
 */
export function onSubmit(form, send) {
  form.noValidate = true; // errors appear beside their fields, and stay there
  inputs(form).forEach((input) => input.addEventListener("input", () => mark(input, [])));
  form.querySelectorAll(".reveal").forEach(enableReveal);
  form.querySelectorAll(".strength").forEach(enableStrength);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy === "true") return;
    const missing = inputs(form).filter((input) => input.validity.valueMissing);
    inputs(form).forEach((input) => mark(input, missing.includes(input) ? [MISSING] : []));
    showOutcome(form, "");
    if (missing.length) return missing[0].focus();
    form.ariaBusy = "true";
    try {
      const sentence = await send(Object.fromEntries(new FormData(form)));
      if (sentence) showOutcome(form, sentence, "good");
    } catch (error) {
      showError(form, error);
    } finally {
      form.ariaBusy = "false";
    }
  });
  form.querySelectorAll("button").forEach((button) => (button.disabled = false));
}

/** @param {Element} form @returns {HTMLInputElement[]} the fields, those that are hidden now included */
function inputs(form) {
  return [...form.querySelectorAll("input")].filter((input) => !input.hidden);
}

/** Show an error, unless the user has cancelled. @param {HTMLFormElement} form @param {unknown} error */
export function showError(form, error) {
  if (/** @type {any} */ (error).name === "AbortError") return;
  const { code, message, errors } = /** @type {AuthError} */ (error);
  if (!(error instanceof AuthError)) console.error(error);
  const invalid = inputs(form).filter((input) => errors?.[input.name]);
  invalid.forEach((input) => mark(input, errors[input.name]));
  const marked = new Set(invalid.map((input) => input.name));
  const unmarked = Object.keys(errors ?? {}).filter((name) => !marked.has(name));
  const rest = unmarked.flatMap((name) => errors[name]).join(" ");
  showOutcome(form, [message, rest].filter(Boolean).join(" "), "bad");
  invalid.push(...inputs(form).filter((input) => !input.disabled && BLAMED[code]?.(input)));
  invalid[0]?.focus();
  if (code === "invalid_code") invalid[0]?.select(); // the next code replaces it
}

/** @param {HTMLInputElement} input @param {string[]} reasons */
function mark(input, reasons) {
  const place = $(`${input.id}-error`); // a checkbox has none
  if (!place) return;
  input.ariaInvalid = reasons.length ? "true" : null;
  place.textContent = reasons.join(" ");
  const hint = input.closest(".field")?.nextElementSibling; // the error says it already
  if (reasons.length && hint?.matches(".strength")) hint.setAttribute("hidden", "");
}

/** @param {Element} form @param {string} sentence @param {string} [kind] good or bad */
export function showOutcome(form, sentence, kind = "good") {
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
    const others = inputs(input.form).filter((other) => other !== input && other.type !== "password");
    const { score, sentence } = strength(input.value, others.map((other) => other.value));
    Object.assign(meter ?? {}, { value: score });
    Object.assign(output ?? {}, { value: sentence });
  });
}
