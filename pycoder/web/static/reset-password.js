import { onSubmit } from "./forms.js";
import { $, call, client, element, tokenOfLink } from "./session.js";

const form = document.forms[0];
const token = tokenOfLink();
$("no-token").hidden = Boolean(token);
form.hidden = !token;

onSubmit(form, async ({ new_password }) => {
  await call("POST", "/api/password/reset/confirm/", { token, new_password });
  history.replaceState(null, "", location.pathname); // the link has been used
  await client.getUser().catch(() => null); // notices that the session of this browser has ended
  form.replaceChildren(
    element("p", { className: "notice good", role: "status" }, "Your new password is set, and you are signed out on all devices."),
    element("a", { className: "button", href: "/login" }, "Sign in"),
  );
});
