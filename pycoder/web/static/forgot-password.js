import { onSubmit } from "./forms.js";
import { call } from "./session.js";

onSubmit(document.forms[0], async ({ email }) => {
  await call("POST", "/api/password/reset/", { email: email.trim() });
  return "If this address belongs to an account, an e-mail with a link is on its way. The link works for one hour.";
});
