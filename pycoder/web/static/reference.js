/** Opens Swagger UI on our document; who is signed in here calls as they are, or with a token. */
import { $, client } from "./session.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// What Swagger UI leaves out for screen readers: headings in order, and names of what is typed in
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

let placed = /** @type {string | null} */ (null);
const ui = /** @type {any} */ (globalThis).SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#reference",
  defaultModelsExpandDepth: -1,
  tryItOutEnabled: true,
  async onComplete() {
    placed = await client.getAccessToken().catch(() => null);
    if (placed) ui.preauthorizeApiKey("bearer", placed);
  },
  async requestInterceptor(/** @type {any} */ request) {
    if (placed && request.headers?.Authorization === `Bearer ${placed}`) {
      request.headers.Authorization = `Bearer ${await client.getAccessToken()}`; // not too old
    }
    if (request.headers?.Authorization) {
      request.credentials = "omit"; // cookies beside a token would be refused
    } else if (!placed && !request.loadSpec) {
      Object.assign(request.headers, (await client.authorize(request.url)).headers);
    }
    return request;
  },
});
