import { onSubmit } from "./forms.js";
import { $, client } from "./session.js";

const ENDED = /** @type {Record<string, string>} */ ({
  token_expired: "Your session has expired. Please sign in again.",
  token_revoked:
    "Your session was ended: on another device, by a new password, or because an old token of it was used again. Please sign in and check your recent activity.",
  token_reused:
    "An old token of your session was used again, so the session was ended to protect you. Please sign in and check your recent activity. If something there was not you, change your password.",
});
const OTHER_REASON = "You were signed out. Please sign in again.";

/** Show why the last session ended, or open the account if a session exists by now. */
function update() {
  const { signedIn, ended } = client.state();
  if (signedIn) location.replace("/account");
  const reason = !ended || ended === "logout" ? "" : (ENDED[ended] ?? OTHER_REASON);
  $("ended").hidden = !reason;
  $("ended").textContent = reason;
}

client.onChange(update);
update();

onSubmit(document.forms[0], async ({ email, password }) => {
  await client.login({ email: email.trim(), password }); // then update() opens the account
});
