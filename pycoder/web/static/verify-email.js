import { onSubmit } from "./forms.js";
import { $, call, element, tokenOfLink } from "./session.js";

const form = document.forms[0];
const token = tokenOfLink();
$("no-token").hidden = Boolean(token);
form.hidden = !token;

onSubmit(form, async () => {
  await call("POST", "/api/email/verify/", { token });
  history.replaceState(null, "", location.pathname); // the link has been used
  form.replaceChildren(
    element("p", { className: "notice good", role: "status" }, "Thank you. Your e-mail address is confirmed."),
    element("a", { className: "button", href: "/account" }, "Go to your account"),
  );
});
