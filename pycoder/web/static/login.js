import { onSubmit } from "./forms.js";
import { $, client } from "./session.js";

const ENDED = /** @type {Record<string, string>} */ ({
  token_expired: "You were away for a while, so you were signed out. Please sign in again.",
  token_revoked:
    "This session was ended: from another device, by a new password, or because somebody used an old key of it. Sign in, and look at your recent activity.",
  token_reused:
    "Somebody used an old key of this session, so it was ended to protect you. Sign in, look at your recent activity, and change your password if something there is not yours.",
});
const OTHERWISE = "You were signed out. Please sign in again.";

/** Tell why the last session ended, here or in another tab; or go on if a new one has begun. */
function look() {
  const { signedIn, ended } = client.state();
  if (signedIn) location.replace("/account");
  const reason = !ended || ended === "logout" ? "" : (ENDED[ended] ?? OTHERWISE);
  $("ended").hidden = !reason;
  $("ended").textContent = reason;
}

client.onChange(look);
look();

onSubmit(document.forms[0], async ({ email, password }) => {
  await client.login({ email: email.trim(), password });
  location.assign("/account");
});
