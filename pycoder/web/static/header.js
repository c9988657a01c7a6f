/** Shows what fits who is signed in, and who is not. */
import { client } from "./session.js";

function show() {
  const { signedIn } = client.state();
  for (const part of document.querySelectorAll("[data-signed]")) {
    /** @type {HTMLElement} */ (part).hidden = part.getAttribute("data-signed") !== (signedIn ? "in" : "out");
  }
}

client.onChange(show);
show();
