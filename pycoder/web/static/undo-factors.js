import { onSubmit } from "./forms.js";
import { $, call, client, element, tokenOfLink } from "./session.js";

const form = document.forms[0];
const token = tokenOfLink();
$("no-token").hidden = Boolean(token);
form.hidden = !token;

onSubmit(form, async () => {
  await call("POST", "/api/factors/undo/", { token });
  history.replaceState(null, "", location.pathname); // the link has been used
  await client.getUser().catch(() => null); // notices that the session of this browser has ended
  form.replaceChildren(
    element("p", { className: "notice good", role: "status" }, "Two-step sign-in is removed, and all devices are signed out. Please follow the link in the e-mail that we are sending you, and set a new password."),
  );
});
