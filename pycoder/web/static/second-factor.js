/** The choice of a second factor in a form: a code, a recovery code, or a passkey. */
import { passkeys } from "./session.js";

const PREFERRED = ["totp", "passkey", "recovery_code"];

/** Show or hide a part of a form. Hidden fields are neither required nor sent. */
export function enable(/** @type {any} */ part, /** @type {boolean} */ on) {
  part.hidden = !on;
  part.querySelectorAll("input").forEach((/** @type {HTMLInputElement} */ input) => (input.disabled = !on));
}

/**
 * Return a function that shows the field of the first of the methods, and buttons for the others.
 *
 * @param {HTMLFormElement} form
 * @param {(method: string) => void} onChoice called with the method whose field is shown, if any
 */
export function secondFactor(form, onChoice = () => {}) {
  const parts = /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll("[data-factor]"));
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (form.querySelectorAll("[data-use]"));
  let methods = /** @type {string[]} */ ([]);

  function choose(method = "") {
    parts.forEach((part) => enable(part, part.dataset.factor === method));
    for (const button of buttons) {
      const use = button.dataset.use ?? "";
      button.hidden = !methods.includes(use) || (use === method && use !== "passkey");
      if (use === "passkey") button.className = method === "passkey" ? "" : "quiet";
    }
    /** @type {any} */ (form.querySelector("[type=submit]")).hidden = method === "passkey";
    onChoice(method);
  }

  for (const button of buttons) {
    const use = button.dataset.use ?? "";
    if (use !== "passkey") button.addEventListener("click", () => (choose(use), focusFactor(form)));
  }
  return (/** @type {string[]} */ available) => {
    methods = available.filter((method) => method !== "passkey" || passkeys.isSupported());
    choose(PREFERRED.find((method) => methods.includes(method)));
  };
}

/** Move the focus to the field of the second factor, or to the button that takes its place. */
export function focusFactor(/** @type {HTMLFormElement} */ form) {
  const target = form.querySelector("[data-factor]:not([hidden]) input") ?? form.querySelector("[data-use=passkey]");
  /** @type {HTMLElement | null} */ (target)?.focus();
}
