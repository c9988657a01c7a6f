import { onSubmit } from "./forms.js";
import { $, call, client, element, tokenOfLink } from "./session.js";

const form = document.forms[0];
const token = tokenOfLink();
$("no-token").hidden = Boolean(token);
form.hidden = !token;

onSubmit(form, async ({ new_password }) => {
  await call("POST", "/api/password/reset/confirm/", { token, new_password });
  history.replaceState(null, "", location.pathname); // the link has been used
  await client.getUser().catch(() => null); // notices if the session of this browser has ended
  const next = client.state().signedIn
    ? element("p", {}, "You are signed in with another account in this browser. Sign out of ",
      element("a", { href: "/account" }, "that account"), " first.")
    : element("a", { className: "button", href: "/login" }, "Sign in");
  form.replaceChildren(
    element("p", { className: "notice good", role: "status" }, "Your password is set, and your e-mail address is confirmed. You can sign in now."),
    next,
  );
});
