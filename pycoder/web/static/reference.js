/**
 * Opens Swagger UI with PyCoder's OpenAPI document. Calls carry the token entered under
 * "Authorize"; without one they use the session of the signed-in user.
 */
import { $, client } from "./session.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// What Swagger UI omits for screen readers: heading levels in order, and labels of form fields.
const MISSING = [
  ["h3.opblock-tag", "ariaLevel", "2"],
  [".opblock h4", "ariaLevel", "3"],
  [".opblock h5", "ariaLevel", "4"],
  [".opblock select", "ariaLabel", "Choose"],
  [".opblock textarea", "ariaLabel", "Body"],
];
new MutationObserver(() => {
  for (const [selector, name, value] of MISSING) {
    document.querySelectorAll(selector).forEach((part) => Object.assign(part, { [name]: value }));
  }
}).observe($("reference"), { childList: true, subtree: true });

let ownToken = /** @type {string | null} */ (null);
const ui = /** @type {any} */ (globalThis).SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#reference",
  defaultModelsExpandDepth: -1,
  tryItOutEnabled: true,
  async onComplete() {
    ownToken = await client.getAccessToken().catch(() => null);
    if (ownToken) ui.preauthorizeApiKey("bearer", ownToken);
  },
  async requestInterceptor(/** @type {any} */ request) {
    if (ownToken && request.headers?.Authorization === `Bearer ${ownToken}`) {
      request.headers.Authorization = `Bearer ${await client.getAccessToken()}`; // refreshed if it has expired
    }
    if (request.headers?.Authorization) {
      request.credentials = "omit"; // PyCoder rejects a token beside cookies
    } else if (!ownToken && !request.loadSpec) {
      Object.assign(request.headers, (await client.authorize(request.url)).headers);
    }
    return request;
  },
});
