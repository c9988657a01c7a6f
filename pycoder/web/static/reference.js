/** Opens Swagger UI on our document; who is signed in here has their access token in place. */
import { client } from "./session.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const ui = /** @type {any} */ (globalThis).SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  defaultModelsExpandDepth: -1,
  tryItOutEnabled: true,
  async onComplete() {
    const token = await client.getAccessToken().catch(() => null);
    if (token) ui.preauthorizeApiKey("bearer", token);
  },
});
