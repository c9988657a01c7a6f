/** The dialog "Confirm it is you": it exchanges the password and a second factor for a proof. */
import { onSubmit, showError } from "./forms.js";
import { enable, focusFactor, secondFactor } from "./second-factor.js";
import { $, call, passkeys } from "./session.js";
import { AuthError } from "./client/auth-client.js";

const dialog = $("confirm-dialog");
const form = dialog.querySelector("form");
const passwordPart = $("confirm-password").closest(".field");
const MARGIN = 10_000; // ms before its expiry that a proof is asked for again

let methods = /** @type {string[]} */ ([]); // of the account
let proof = { value: "", until: 0 };
let settle = (/** @type {string} */ _value) => {};

// A passkey alone proves both factors, so its button stands without the password.
const showFactor = secondFactor(form, (method) => enable(passwordPart, method !== "passkey"));

export const hasFactor = () => methods.length > 0;

/** @param {any} factors as GET /api/factors/ returns them @returns {string[]} */
export const methodsOf = ({ totp, recovery_codes_left: left, passkeys: list }) =>
  [totp && "totp", left && "recovery_code", list.length && "passkey"].filter(Boolean);

/** Note the second factors of the account. Without one, forms ask for the password themselves. */
export function noteMethods(/** @type {string[]} */ available) {
  methods = available;
  document.querySelectorAll("[data-password]").forEach((part) => enable(part, !hasFactor()));
}

/** Forget the proof, which has ended with a change of the password or of a factor. */
export const forgetProof = () => void (proof = { value: "", until: 0 });

/**
 * Do what needs the password or a proof. An account with a second factor is asked for a proof, unless
 * one is still valid. Rejects with an AbortError if the user cancels.
 *
 * @template T
 * @param {(proof: { password?: string, proof?: string }) => Promise<T>} act
 * @param {object} options
 * @param {string} options.purpose a sentence that says what is about to happen
 * @param {string} [options.password] from the form of an account without a second factor
 * @param {boolean} [options.always] ask for a confirmation even if a proof is still valid
 * @returns {Promise<T>}
 */
export async function withProof(act, { purpose, password, always = false }) {
  try {
    if (password !== undefined && !hasFactor()) return await act({ password });
    return await act({ proof: await obtain(purpose, always) });
  } catch (error) {
    if (/** @type {any} */ (error).code !== "insufficient_user_authentication") throw error;
  }
  forgetProof(); // it has ended early, or the account has a factor since a moment ago
  return act({ proof: await obtain(purpose, true) });
}

/**
 * Return a proof: the one that is still valid, or a new one by the dialog. Rejects with an AbortError
 * if the user cancels.
 *
 * @param {string} purpose @param {boolean} always @returns {Promise<string>}
 */
export async function obtain(purpose, always) {
  const isValid = Date.now() < proof.until;
  if (isValid && !always) return proof.value;
  $("confirm-purpose").textContent = purpose;
  form.reset();
  form.querySelector(".outcome").replaceChildren();
  enable($("confirm-fields"), !isValid);
  showFactor(isValid ? [] : methods);
  if (isValid) enable(passwordPart, false);
  dialog.showModal();
  if (passwordPart.hidden) focusFactor(form);
  else $("confirm-password").focus();
  return new Promise((resolve, reject) => {
    settle = (value) => (value ? resolve(value) : reject(new DOMException("Cancelled", "AbortError")));
  });
}

/** @param {{ proof: string, expires_in: number }} created */
function accept(created) {
  proof = { value: created.proof, until: Date.now() + created.expires_in * 1000 - MARGIN };
  settle(proof.value);
  dialog.close();
}

onSubmit(form, async ({ password, code, recovery_code }) => {
  if ($("confirm-fields").hidden) return void (settle(proof.value), dialog.close());
  const factor = code !== undefined ? { code } : recovery_code !== undefined ? { recovery_code } : {};
  const created = await call("POST", "/api/reauthenticate/", { password, ...factor }).catch((error) => {
    if (error.code === "second_factor_required") {
      noteMethods(error.methods);
      showFactor(methods);
      focusFactor(form);
    }
    throw error;
  });
  accept(created);
});

form.querySelector("[data-use=passkey]").addEventListener("click", async () => {
  try {
    accept(await passkeys.reauthenticate());
  } catch (error) {
    if (error instanceof AuthError || /** @type {any} */ (error).name !== "AbortError") showError(form, error);
  }
});
dialog.addEventListener("close", () => {
  form.reset(); // the page keeps no password
  settle("");
});
