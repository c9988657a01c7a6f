/** Shows the parts of the page for signed-in users, or those for everyone else. */
import { client } from "./session.js";

function show() {
  const { signedIn } = client.state();
  for (const part of document.querySelectorAll("[data-signed]")) {
    /** @type {HTMLElement} */ (part).hidden = part.getAttribute("data-signed") !== (signedIn ? "in" : "out");
  }
}

client.onChange(show);
show();
