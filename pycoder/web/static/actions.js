/** Behaviour shared by the pages for signed-in users: the status line, and buttons that act. */
import { $, client, noteReturn } from "./session.js";
import { AuthError } from "./client/auth-client.js";

/** @param {string} sentence */
export function status(sentence) {
  $("status").textContent = sentence;
  $("status").hidden = !sentence;
}

let leaving = false;
export const isLeaving = () => leaving;

/** Expect the end of the session: the page then waits for the caller to leave it. */
export const expectEnd = () => void (leaving = true);

export function leave(to = "/login") {
  leaving = true;
  if (to === "/login") noteReturn();
  location.replace(to);
}
client.onChange(({ signedIn }) => {
  if (!signedIn && !leaving) leave(); // the server has ended the session, or another tab has signed out
});

/**
 * Run a function when a button is clicked. Its errors appear in the status line, except an AbortError:
 * the user has cancelled.
 *
 * @param {HTMLButtonElement} button @param {() => Promise<unknown>} act
 */
export function onClick(button, act) {
  button.disabled = false;
  button.addEventListener("click", async () => {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    status("");
    await act().catch((error) => {
      if (error.name === "AbortError") return;
      if (!(error instanceof AuthError)) console.error(error);
      if (!leaving) status(error.message);
    });
    button.ariaBusy = "false";
  });
}

/** Connect the button of each dialog that closes it. */
export function connectDialogs() {
  document.querySelectorAll("dialog").forEach((dialog) => {
    const close = /** @type {HTMLButtonElement | null} */ (dialog.querySelector("[data-close]"));
    if (close) onClick(close, async () => dialog.close());
  });
}
