/** The JavaScript client of the pages, and helpers for API calls and DOM elements. */
import { AuthError, createAuthClient } from "./client/auth-client.js";
import { withPasskeys } from "./client/passkeys.js";

const transport = document.documentElement.dataset.transport === "body" ? "body" : "cookie";
export const client = withPasskeys(createAuthClient({ transport }));
export const { passkeys } = client;

/**
 * Call the API as the signed-in user. Throws an AuthError unless the call succeeds.
 *
 * @param {string} method @param {string} path @param {object} [fields] @returns {Promise<any>}
 */
export async function call(method, path, fields) {
  const body = fields && JSON.stringify(fields);
  const headers = new Headers(body ? { "Content-Type": "application/json" } : {});
  const response = await client.fetch(path, { method, headers, body });
  if (!response.ok) throw await AuthError.from(response);
  return [202, 204].includes(response.status) ? null : response.json();
}

/** @returns {string | null} the token in the fragment of the link that opened this page */
export function tokenOfLink() {
  return new URLSearchParams(location.hash.slice(1)).get("token");
}

/** Note that the next sign-in of this tab returns to this page. No link can set it. */
export function noteReturn() {
  try { sessionStorage.setItem("return_to", location.pathname + location.search); } catch { /* it is blocked */ }
}

/** @returns {string} the page to open after a sign-in; it is forgotten */
export function takeReturn() {
  try {
    const path = sessionStorage.getItem("return_to");
    sessionStorage.removeItem("return_to");
    return path ?? "/account";
  } catch {
    return "/account";
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {object} [properties] @param {(Node | string)[]} children
 */
export function element(tag, properties = {}, ...children) {
  const created = Object.assign(document.createElement(tag), properties);
  created.append(...children);
  return created;
}

/** @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);
