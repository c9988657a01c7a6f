import { onSubmit } from "./forms.js";
import { client } from "./session.js";

if (client.state().signedIn) location.replace("/account");

onSubmit(document.forms[0], async ({ email, username, password }) => {
  await client.register({ email, password, ...(username && { username }) });
  location.assign("/account");
});
